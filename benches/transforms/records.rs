//! Records as Cloudflare's account audit log has them, about 1.3 KB each, the same ones every time.
//!
//! They vary as real ones do: five kinds of change and a sign-in, with and without a zone, a token, an address of the
//! actor; addresses stand in fields of their own, in free text, in URLs, percent-encoded and in JSON inside a text, beside
//! look-alikes such as browser versions. People and hosts are invented, addresses are those for documentation.

use std::fmt::Write;

use auditline::simulator::{Vendor, sample};

const ACCOUNT: &str = "9f2c41d07be84a6fb1d5c3e8a0764b15";

const PEOPLE: [(&str, &str); 6] = [
    ("Anna Ops", "anna@harbour.example"),
    ("Bertil Ångström", "bertil.angstrom@harbour.example"),
    ("Chiara Bianchi", "chiara+audit@harbour.example"),
    ("Fatou Diaye", "fatou_diaye@example.com"),
    ("Oskar Müller-Weiß", "Oskar.Mueller@Harbour.Example"),
    ("Priya Raman", "priya.raman@example.org"),
];

const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 Safari/537.36 Edg/126.0.2592.87",
    "curl/8.7.1",
    "terraform/1.9.2 (+https://terraform.example)",
];

/// What is done: description, type, method, product, resource, below what path.
const ACTIONS: [[&str; 6]; 6] = [
    ["Create DNS record", "create", "POST", "dns_records", "dns_records", "dns_records"],
    ["Update WAF rule", "update", "PUT", "firewall", "ruleset", "rulesets"],
    ["Add Member", "create", "POST", "members", "account_member", "members"],
    ["Upload Worker", "update", "PUT", "workers", "script", "workers/scripts"],
    ["Read analytics", "view", "GET", "analytics", "dashboard", "analytics/dashboard"],
    ["sso_login", "login", "POST", "sso", "login", "sso/login"],
];

/// An answer of the vendor with `count` records.
pub fn page(count: u64) -> Vec<u8> {
    let mut out = String::from(r#"{"success":true,"errors":[],"messages":[],"result":["#);
    for index in 0..count {
        if index > 0 {
            out.push(',');
        }
        record(index, &mut out);
    }
    write!(out, r#"],"result_info":{{"count":"{count}","cursor":"bmV4dCBwYWdl"}}}}"#)
        .expect("a String takes everything");
    out.into_bytes()
}

/// An answer of another vendor, whose records are the list `key`, as the simulated vendors have them.
pub fn simulated(key: &str, vendor: Vendor, count: u64) -> Vec<u8> {
    format!(r#"{{"success":true,"{key}":[{}]}}"#, sample(vendor, count).join(",")).into_bytes()
}

/// A stream of numbers that look random: splitmix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    fn hex32(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }

    fn v4(&mut self) -> String {
        format!("{}.{}", self.pick(&["192.0.2", "198.51.100", "203.0.113"]), 1 + self.below(254))
    }

    fn ip(&mut self) -> String {
        if self.below(4) == 0 {
            format!("2001:db8:{:x}::{:x}", self.below(65536), self.below(65536))
        } else {
            self.v4()
        }
    }
}

fn record(index: u64, out: &mut String) {
    let mut dice = Dice(index.wrapping_mul(0x51_7cc1_b727_220a));
    let [description, kind, method, product, resource, path] = dice.pick(&ACTIONS);
    let (name, email) = dice.pick(&PEOPLE);
    let id = dice.hex32();
    let time =
        format!("2026-09-14T{:02}:{:02}:{:02}.{:03}Z", index / 3600 % 24, index / 60 % 60, index % 60, index % 1000);
    let result = if dice.below(8) == 0 { "failure" } else { "success" };
    let actor_type = dice.pick(&["user", "user", "user", "user", "account", "system"]);
    let address = dice.ip();
    let resource_id = dice.hex32();
    let zone = matches!(product, "dns_records" | "firewall").then(|| dice.hex32());

    write!(
        out,
        r#"{{"id":"{id}","account":{{"id":"{ACCOUNT}","name":"Harbour Tools"}},"action":{{"description":"{description}","result":"{result}","time":"{time}","type":"{kind}"}},"actor":{{"id":"{}","context":"{}","#,
        dice.hex32(),
        dice.pick(&["dash", "api_token", "oauth"]),
    )
    .expect("a String takes everything");
    if actor_type != "system" {
        write!(out, r#""email":"{email}","ip_address":"{address}","#).expect("a String takes everything");
    }
    if dice.below(3) == 0 {
        write!(out, r#""token_id":"{}","token_name":"{}","#, dice.hex32(), dice.pick(&["terraform", "ci-deploy"]))
            .expect("a String takes everything");
    }
    let query = match dice.below(3) {
        0 => format!("?per_page=50&email={}&from={}", email.replace('@', "%40").replace('+', "%2B"), dice.v4()),
        _ => String::new(),
    };
    let status = if result == "failure" { 403 } else { 200 };
    let below = zone.as_ref().map_or(format!("accounts/{ACCOUNT}"), |zone| format!("zones/{zone}"));
    write!(
        out,
        r#""type":"{actor_type}"}},"raw":{{"cf_ray_id":"{:016x}","method":"{method}","status_code":{status},"uri":"/{below}/{path}/{resource_id}{query}","user_agent":"{}"}},"resource":{{"id":"{resource_id}","product":"{product}","type":"{resource}","scope":"{}","request":"#,
        dice.next(),
        dice.pick(&AGENTS),
        if zone.is_some() { "zones" } else { "accounts" },
    )
    .expect("a String takes everything");
    request(product, name, email, &mut dice, out);
    response(result, &resource_id, &time, email, &address, &mut dice, out);
    if let Some(zone) = zone {
        write!(out, r#","zone":{{"id":"{zone}","name":"harbour.example"}}"#).expect("a String takes everything");
    }
    out.push('}');
}

/// What was asked for: where the addresses hide.
fn request(product: &str, name: &str, email: &str, dice: &mut Dice, out: &mut String) {
    let guest = format!("guest.{}@{}", dice.below(100_000), dice.pick(&["visitor.example", "partner.example.net"]));
    match product {
        "dns_records" => write!(
            out,
            r#"{{"type":"A","name":"www-{}.harbour.example","content":"{}","proxied":{},"ttl":300,"comment":"asked for by {email} (see mailto:{guest})","tags":["env:prod",null],"settings":{{"ipv4_only":false,"allowed":["{}","{}/32"]}}}}"#,
            dice.below(10_000),
            dice.v4(),
            dice.below(2) == 0,
            dice.ip(),
            dice.v4()
        ),
        "firewall" => write!(
            out,
            r#"{{"description":"block {guest} and friends","enabled":true,"expression":"(ip.src in {{{} {}}}) and not http.user_agent contains \"Chrome/120.0.0.0\"","action":"block","action_parameters":"{{\"response\":{{\"status_code\":403,\"content\":\"write to {guest}\"}},\"seen_from\":\"{}\"}}","ref":"rule-{}","version":"1.2.3.4","weight":0.750}}"#,
            dice.v4(),
            dice.ip(),
            dice.v4(),
            dice.below(9_999)
        ),
        "members" => write!(
            out,
            r#"{{"email":"{guest}","status":"pending","roles":["{}"],"invited_by":"{name} <{email}>","policies":[{{"access":"allow","groups":[{{"id":"{}"}}]}}],"redirect":"https://dash.example/join?to={}"}}"#,
            dice.hex32(),
            dice.hex32(),
            guest.replace('@', "%40")
        ),
        "workers" => write!(
            out,
            r#"{{"name":"edge-{}","allowed_ips":["{}","{}"],"include":[{{"email":{{"email":"{guest}"}}}},{{"ip":{{"ip":"{}/24"}}}}],"bindings":[{{"name":"API_KEY","type":"secret_text","text":"********"}}],"note":"für {name}: naïve \"quick\" fix\n→ 見る","migrations":{}}}"#,
            dice.below(10_000),
            dice.ip(),
            dice.ip(),
            dice.v4(),
            dice.below(90)
        ),
        "analytics" => write!(
            out,
            r#"{{"query":"SELECT client_ip, count(*) FROM requests WHERE host LIKE '%.harbour.example' GROUP BY 1 ORDER BY 2 DESC LIMIT {}","since":"2026-09-01T00:00:00Z","until":"2026-09-14T00:00:00Z","dimensions":["clientIP","userAgent","edgeResponseStatus"],"limit":{},"sampling":{{"adaptive":true,"ratio":0.1}}}}"#,
            dice.below(1000),
            dice.below(10_000)
        ),
        _ => write!(
            out,
            r#"{{"identity_provider":"https://login.harbour.example/saml","subject":"{email}","remote":"[2001:db8:77::{:x}]:{}","device":{{"name":"{name}'s laptop","mac":"00:00:5e:00:53:af","last_seen":"{}"}},"mfa":["totp","webauthn"]}}"#,
            dice.below(65536),
            1024 + dice.below(60_000),
            dice.v4()
        ),
    }
    .expect("a String takes everything");
}

fn response(result: &str, id: &str, time: &str, email: &str, address: &str, dice: &mut Dice, out: &mut String) {
    match result {
        "failure" => write!(
            out,
            r#","response":{{"success":false,"errors":[{{"code":10001,"message":"{email} is not allowed to do this from {address}"}}],"result":null}}}}"#
        ),
        _ => write!(
            out,
            r#","response":{{"id":"{id}","created_on":"{time}","modified_by":{{"email":"{email}"}},"version":{},"meta":{{"peer":"{}"}}}}}}"#,
            dice.below(90),
            dice.ip()
        ),
    }
    .expect("a String takes everything");
}
