//! What a Nirvana Labs audit log entry says: one HTTP call each, no bodies.

use std::fmt::Write;
use std::net::IpAddr;

use super::{Dice, instant, put, quoted, uuid};
use crate::simulator::people::{PEOPLE, USER_AGENTS, guest_email, ip, person_id, someone};
use crate::simulator::timeline::Micros;

/// Action, method, path, target type, status when all went well.
type Call = (&'static str, &'static str, &'static str, &'static str, u16);

const CALLS: [Call; 10] = [
    ("vm.created", "POST", "/v1/compute/vms", "vm", 202),
    ("vm.deleted", "DELETE", "/v1/compute/vms/{id}", "vm", 202),
    ("vm.updated", "PATCH", "/v1/compute/vms/{id}", "vm", 202),
    ("vpc.created", "POST", "/v1/networking/vpcs", "vpc", 202),
    ("firewall_rule.created", "POST", "/v1/networking/vpcs/{id}/firewall_rules", "firewall_rule", 202),
    ("api_key.created", "POST", "/v1/api_keys", "api_key", 201),
    ("api_key.deleted", "DELETE", "/v1/api_keys/{id}", "api_key", 204),
    ("organization_member.invited", "POST", "/v1/organizations/members?email={email}", "organization_member", 201),
    ("organization_member.removed", "DELETE", "/v1/organizations/members/{id}", "organization_member", 204),
    ("project.listed", "GET", "/v1/projects", "project", 200),
];

/// An entry, whole: it is small.
pub(crate) struct Facts {
    pub id: String,
    pub action: &'static str,
    pub actor_id: String,
    pub actor_name: &'static str,
    pub actor_type: &'static str,
    pub client_ip: IpAddr,
    pub method: &'static str,
    pub path: String,
    pub status: u16,
    pub user_agent: String,
    /// Type and id.
    pub target: Option<(&'static str, String)>,
    /// Old entries lack the fields added last.
    pub old: bool,
}

pub(crate) fn facts(salt: u64, index: u64) -> Facts {
    let mut dice = Dice::new(salt, index);
    let who = someone(&mut dice);
    let (action, method, path, kind, success) = *dice.pick(&CALLS);
    let target_id = uuid(salt ^ 0x7a59, dice.below(50_000));
    let (actor_type, actor_name) = match dice.below(10) {
        0..6 => ("user", PEOPLE[who].name),
        6..9 => ("api_key", "deploy key"),
        _ => ("service_account", "scheduler@nirvana.example"),
    };
    let path = path.replace("{id}", &target_id).replace("{email}", &super::percent_encoded(&guest_email(&mut dice)));
    let old = dice.percent(2);
    Facts {
        id: uuid(salt, index),
        action,
        actor_id: person_id(salt ^ actor_type.len() as u64, who),
        actor_name,
        actor_type,
        client_ip: ip(&mut dice),
        method,
        path,
        status: if dice.percent(8) { *dice.pick(&[400, 403, 404, 409, 422]) } else { success },
        user_agent: match dice.below(3) {
            0 => "Nirvana/Go 1.94.2".to_string(),
            _ => (*dice.pick(&USER_AGENTS)).to_string(),
        },
        target: (!dice.percent(15)).then_some((kind, target_id)),
        old,
    }
}

impl Facts {
    /// Appends the entry as JSON.
    pub fn write(&self, time: Micros, out: &mut String) {
        put!(out, r#"{{"id":"{}","#, self.id);
        if !self.old {
            put!(out, r#""action":"{}","#, self.action);
        }
        put!(out, r#""actor":{{"id":"{}","#, self.actor_id);
        if !self.old {
            out.push_str(r#""name":"#);
            quoted(out, self.actor_name);
            out.push(',');
        }
        put!(
            out,
            r#""type":"{}"}},"client_ip":"{}","created_at":"{}","#,
            self.actor_type,
            self.client_ip,
            instant(time)
        );
        put!(out, r#""method":"{}","path":"{}","status_code":{},"user_agent":"#, self.method, self.path, self.status);
        quoted(out, &self.user_agent);
        match &self.target {
            _ if self.old => {}
            Some((kind, id)) => put!(out, r#","target":{{"id":"{id}","type":"{kind}"}}"#),
            None => out.push_str(r#","target":null"#),
        }
        out.push('}');
    }
}
