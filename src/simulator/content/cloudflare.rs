//! What a Cloudflare audit record says: about 1.2 KB each, with the bodies of the recorded call.

use std::borrow::Cow;
use std::fmt::Write;
use std::net::IpAddr;

use super::{Dice, hex32, instant, instant_secs, mix, percent_encoded, put, quoted};
use crate::simulator::credentials::CLOUDFLARE_ACCOUNT_ID;
use crate::simulator::people::{PEOPLE, Person, USER_AGENTS, guest_email, ip, someone, v4};
use crate::simulator::timeline::{Micros, SECOND};

struct Action {
    description: &'static str,
    kind: &'static str,
    method: &'static str,
    product: &'static str,
    resource: &'static str,
    scope: &'static str,
    path: &'static str,
}

const fn action(
    [description, kind, method]: [&'static str; 3],
    [product, resource, scope]: [&'static str; 3],
    path: &'static str,
) -> Action {
    Action { description, kind, method, product, resource, scope, path }
}

const ACTIONS: [Action; 13] = [
    action(["Create DNS record", "create", "POST"], ["dns_records", "dns_records", "zones"], "dns_records"),
    action(["Update DNS record", "update", "PATCH"], ["dns_records", "dns_records", "zones"], "dns_records/{id}"),
    action(["Delete DNS record", "delete", "DELETE"], ["dns_records", "dns_records", "zones"], "dns_records/{id}"),
    action(["Update WAF rule", "update", "PUT"], ["firewall", "ruleset", "zones"], "rulesets/{id}/rules"),
    action(["Purge cache", "delete", "POST"], ["cache", "purge", "zones"], "purge_cache"),
    action(["Add Member", "create", "POST"], ["members", "account_member", "accounts"], "members"),
    action(["Update Member", "update", "PUT"], ["members", "account_member", "accounts"], "members/{id}"),
    action(["Remove Member", "delete", "DELETE"], ["members", "account_member", "accounts"], "members/{id}"),
    action(["Roll API token", "update", "PUT"], ["api_tokens", "token", "user"], "tokens/{id}/value"),
    action(["Upload Worker", "update", "PUT"], ["workers", "script", "accounts"], "workers/scripts/edge-{id}"),
    action(["Create Access policy", "create", "POST"], ["access", "policy", "accounts"], "access/apps/{id}/policies"),
    action(["SSO_LOGIN", "login", "POST"], ["sso", "login", "user"], "sso/login"),
    action(["Accept membership", "update", "PUT"], ["memberships", "membership", "memberships"], "memberships/{id}"),
];

const ZONES: [&str; 5] =
    ["harbour.example", "shop.harbour.example", "xn--hfen-loa.example", "example.com", "status.example.org"];

/// The products behind a `product_category`, lower case.
pub(crate) const CATEGORIES: [(&str, &[&str]); 4] = [
    ("dns", &["dns_records"]),
    ("application security", &["firewall", "cache"]),
    ("identity", &["members", "memberships", "api_tokens", "sso", "access"]),
    ("developer platform", &["workers"]),
];

/// The parts of a record that filters look at.
pub(crate) struct Facts {
    id: String,
    dice: Dice,
    person: &'static Person,
    person_id: String,
    action: &'static Action,
    result: &'static str,
    actor_type: &'static str,
    context: &'static str,
    ip: IpAddr,
    token: Option<(String, &'static str)>,
    zone: Option<(String, &'static str)>,
    ray: String,
    status: u16,
    uri: String,
    resource_id: String,
}

pub(crate) fn facts(salt: u64, index: u64) -> Facts {
    let mut dice = Dice::new(salt, index);
    let who = someone(&mut dice);
    let action = dice.pick(&ACTIONS);
    let context =
        *dice.pick(&["dash", "dash", "dash", "api_token", "api_token", "api_key", "oauth", "api", "origin_ca_key"]);
    let actor_type =
        *dice.pick(&["user", "user", "user", "user", "account", "system", "cloudflare_admin", "Cloudflare_admin"]);
    let result = *dice.pick(&["success", "success", "success", "success", "success", "success", "failure", ""]);
    let status = match result {
        "failure" => *dice.pick(&[400, 403, 409]),
        _ => 200,
    };
    let token = (context == "api_token" || context == "oauth").then(|| {
        let number = dice.below(40);
        (hex32(salt ^ 0x70ce, number), *dice.pick(&["terraform", "ci-deploy", "Anna's laptop", "backup"]))
    });
    let zone = (action.scope == "zones").then(|| {
        let number = dice.below(ZONES.len() as u64);
        (hex32(salt ^ 0x20e5, number), ZONES[number as usize])
    });
    let resource_id = hex32(salt ^ 0x1e50, dice.below(500_000));
    Facts {
        id: hex32(salt, index),
        person: &PEOPLE[who],
        person_id: hex32(salt ^ 0xac70, who as u64),
        uri: uri(action, zone.as_ref(), &resource_id, who, &mut dice),
        ip: ip(&mut dice),
        ray: format!("{:016x}", mix(salt ^ 0x4a75, index)),
        dice,
        action,
        result,
        actor_type,
        context,
        token,
        zone,
        status,
        resource_id,
    }
}

fn uri(action: &Action, zone: Option<&(String, &str)>, resource: &str, who: usize, dice: &mut Dice) -> String {
    let path = action.path.replace("{id}", resource);
    let mut uri = match (action.scope, zone) {
        (_, Some((id, _))) => format!("/zones/{id}/{path}"),
        ("accounts", None) => format!("/accounts/{CLOUDFLARE_ACCOUNT_ID}/{path}"),
        _ => format!("/user/{path}"),
    };
    if dice.percent(30) {
        put!(uri, "?per_page=50&email={}&from={}", percent_encoded(PEOPLE[who].email), v4(dice));
    }
    uri
}

impl Facts {
    /// The value a filter named `name` compares, `None` if the record has none or the filter is unknown.
    pub fn field(&self, name: &str) -> Option<Cow<'_, str>> {
        let text = match name {
            "id" | "audit_log_id" => &self.id,
            "account_name" => "Harbour Tools",
            "action_result" => self.result,
            "action_type" => self.action.kind,
            "actor_context" => self.context,
            "actor_email" => self.email()?,
            "actor_id" => &self.person_id,
            "actor_ip_address" => return Some(self.ip.to_string().into()),
            "actor_token_id" => &self.token.as_ref()?.0,
            "actor_token_name" => self.token.as_ref()?.1,
            "actor_type" => self.actor_type,
            "raw_cf_ray_id" => &self.ray,
            "raw_method" => self.action.method,
            "raw_status_code" => return Some(self.status.to_string().into()),
            "raw_uri" => &self.uri,
            "resource_id" => &self.resource_id,
            "resource_product" => self.action.product,
            "resource_type" => self.action.resource,
            "resource_scope" => self.action.scope,
            "zone_id" => &self.zone.as_ref()?.0,
            "zone_name" => self.zone.as_ref()?.1,
            _ => return None,
        };
        Some(text.into())
    }

    fn email(&self) -> Option<&'static str> {
        matches!(self.actor_type, "user" | "account").then_some(self.person.email)
    }

    /// Appends the record as JSON.
    pub fn write(mut self, time: Micros, out: &mut String) {
        let at = if time % SECOND == 0 { instant_secs(time) } else { instant(time) };
        put!(out, r#"{{"id":"{}","#, self.id);
        if !self.dice.percent(3) {
            put!(out, r#""account":{{"id":"{CLOUDFLARE_ACCOUNT_ID}","name":"Harbour Tools"}},"#);
        }
        put!(
            out,
            r#""action":{{"description":"{}","result":"{}","time":"{at}","type":"{}"}},"#,
            self.action.description,
            self.result,
            self.action.kind
        );
        self.write_actor(out);
        self.write_raw(out);
        self.write_resource(&at, out);
        if let Some((id, name)) = &self.zone {
            put!(out, r#","zone":{{"id":"{id}","name":"{name}"}}"#);
        }
        out.push('}');
    }

    fn write_actor(&mut self, out: &mut String) {
        put!(out, r#""actor":{{"id":"{}","context":"{}","#, self.person_id, self.context);
        if let Some(email) = self.email() {
            put!(out, r#""email":"{email}","#);
        }
        if let Some((id, name)) = &self.token {
            put!(out, r#""token_id":"{id}","token_name":"{name}","#);
        }
        if self.actor_type != "system" {
            put!(out, r#""ip_address":"{}","#, self.ip);
        }
        put!(out, r#""type":"{}"}},"#, self.actor_type);
    }

    fn write_raw(&mut self, out: &mut String) {
        if self.actor_type == "system" && self.dice.percent(50) {
            return;
        }
        let agent = self.dice.pick(&USER_AGENTS);
        put!(
            out,
            r#""raw":{{"cf_ray_id":"{}","method":"{}","status_code":{},"uri":"{}","user_agent":"{agent}"}},"#,
            self.ray,
            self.action.method,
            self.status,
            self.uri
        );
    }

    fn write_resource(&mut self, at: &str, out: &mut String) {
        let Action { product, resource, scope, .. } = self.action;
        put!(out, r#""resource":{{"id":"{}","product":"{product}","type":"{resource}","scope":"#, self.resource_id);
        match self.dice.below(12) {
            0 => out.push_str("{}"),
            1 => put!(out, r#"{{"kind":"{scope}","owner":"{}"}}"#, self.person.email),
            _ => put!(out, r#""{scope}""#),
        }
        out.push_str(r#","request":"#);
        if self.dice.percent(6) {
            out.push_str("null");
        } else {
            self.write_request(out);
        }
        if !self.dice.percent(6) {
            out.push_str(r#","response":"#);
            self.write_response(at, out);
        }
        out.push('}');
    }

    fn write_request(&mut self, out: &mut String) {
        let dice = &mut self.dice;
        let guest = guest_email(dice);
        match self.action.product {
            "dns_records" => put!(
                out,
                r#"{{"type":"A","name":"www-{}.{}","content":"{}","proxied":{},"ttl":{},"comment":"asked for by {} (see mailto:{guest})","tags":["owner:{}","env:prod"],"settings":{{"ipv4_only":false,"allowed":["{}","{}/32"]}}}}"#,
                dice.below(10_000),
                self.zone.as_ref().map_or("example.com", |zone| zone.1),
                v4(dice),
                dice.percent(50),
                dice.pick(&[1, 60, 300, 3600]),
                self.person.email,
                self.person.login,
                ip(dice),
                v4(dice)
            ),
            "firewall" | "cache" => {
                let (first, second) = (v4(dice), ip(dice));
                put!(out, r#"{{"description":"block {guest} and friends","enabled":true,"expression":"#);
                quoted(
                    out,
                    &format!(r#"(ip.src in {{{first} {second}}}) and not http.user_agent contains "Chrome/120.0.0.0""#),
                );
                put!(out, r#","action":"block","action_parameters":"#);
                quoted(
                    out,
                    &format!(
                        r#"{{"response":{{"status_code":403,"content":"write to {guest}"}},"seen_from":"{first}"}}"#
                    ),
                );
                put!(out, r#","ref":"rule-{}","version":"1.2.3.4","tags":null}}"#, dice.below(9_999));
            }
            "members" | "memberships" => {
                put!(out, r#"{{"email":"{guest}","status":"pending","roles":["{}"],"invited_by":"#, self.person_id);
                quoted(out, &format!("{} <{}>", self.person.name, self.person.email));
                put!(
                    out,
                    r#","policies":[{{"access":"allow","permission_groups":[{{"id":"{}"}}],"resource_groups":[{{"id":"{}"}}]}}],"redirect":"https://dash.example/join?to={}"}}"#,
                    self.ray.repeat(2),
                    self.resource_id,
                    percent_encoded(&guest)
                );
            }
            _ => {
                put!(
                    out,
                    r#"{{"name":"edge-{}","allowed_ips":["{}","{}"],"include":[{{"email":{{"email":"{guest}"}}}},{{"ip":{{"ip":"{}/24"}}}}],"bindings":[{{"name":"API_KEY","type":"secret_text","text":"********"}}],"note":"#,
                    dice.below(10_000),
                    ip(dice),
                    ip(dice),
                    v4(dice)
                );
                quoted(out, &format!("für {}: naïve \"quick\" fix\n→ 見る", self.person.name));
                out.push('}');
            }
        }
    }

    fn write_response(&mut self, at: &str, out: &mut String) {
        if self.result == "failure" {
            put!(
                out,
                r#"{{"success":false,"errors":[{{"code":10001,"message":"{} is not allowed to do this from {}"}}],"result":null}}"#,
                self.person.email,
                self.ip
            );
            return;
        }
        put!(
            out,
            r#"{{"id":"{}","created_on":"{at}","modified_by":{{"id":"{}","email":"{}"}},"version":{},"meta":{{"auto_added":false,"source":"primary","peer":"{}"}},"etag":"{:016x}","mac":"00:1b:44:11:3a:b7"}}"#,
            self.resource_id,
            self.person_id,
            self.person.email,
            self.dice.below(90),
            ip(&mut self.dice),
            self.dice.next()
        );
    }
}
