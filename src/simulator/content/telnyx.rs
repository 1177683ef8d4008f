//! What a Telnyx audit event says: no actor e-mail and no address of its own, but anything inside `changes`.

use std::fmt::Write;

use super::{Dice, instant_secs, put, quoted, uuid};
use crate::simulator::people::{PEOPLE, guest_email, ip, person_id, someone, v4};
use crate::simulator::timeline::Micros;

/// Appends record `index` as JSON.
pub(crate) fn write(salt: u64, index: u64, time: Micros, out: &mut String) {
    let mut dice = Dice::new(salt, index);
    let who = someone(&mut dice);
    let organization = uuid(salt ^ 0x0e9a, 0);
    put!(out, r#"{{"id":"{}","user_id":"{}","#, uuid(salt, index), person_id(salt, who));
    // Every field may be absent in the vendor's own model.
    if !dice.percent(2) {
        put!(out, r#""organization_id":"{organization}","#);
    }
    let made_by = *dice.pick(&["account_owner", "account_manager", "organization_member", "telnyx", "integration_bot"]);
    let change = *dice.pick(&["create", "update", "update", "update", "delete", "reveal"]);
    put!(
        out,
        r#""record_type":"audit_event","resource_id":"{}","alternate_resource_id":{},"change_made_by":"{made_by}","change_type":"{change}","changes":"#,
        1_293_384_260_000_000_000 + dice.below(1_000_000_000),
        match dice.below(3) {
            0 => "null".to_string(),
            _ => format!("\"+1202555{:04}\"", dice.below(10_000)),
        }
    );
    if change == "delete" || dice.percent(3) {
        out.push_str("null");
    } else {
        out.push('[');
        for number in 0..=dice.below(3) {
            if number > 0 {
                out.push(',');
            }
            write_change(who, change == "create", &mut dice, out);
        }
        out.push(']');
    }
    put!(out, r#","created_at":"{}"}}"#, instant_secs(time));
}

fn write_change(who: usize, creation: bool, dice: &mut Dice, out: &mut String) {
    let person = &PEOPLE[who];
    let before = |value: String| if creation { "null".to_string() } else { value };
    match dice.below(7) {
        0 => put!(
            out,
            r#"{{"field":"connection_id","from":null,"to":"{}"}}"#,
            1_834_472_000_000u64 + dice.below(999_999)
        ),
        1 => put!(out, r#"{{"field":"settings.call_recording.enabled","from":{},"to":true}}"#, before("false".into())),
        2 => {
            let (old, new) = (guest_email(dice), guest_email(dice));
            put!(
                out,
                r#"{{"field":"notification_settings.email","from":{},"to":"{new}"}}"#,
                before(format!("\"{old}\""))
            );
        }
        3 => put!(
            out,
            r#"{{"field":"ip_authentication","from":{},"to":[{{"ip":"{}","port":5060}},{{"ip":"{}","port":null}}]}}"#,
            before(format!(r#"[{{"ip":"{}","port":5060}}]"#, v4(dice))),
            ip(dice),
            ip(dice)
        ),
        4 => {
            let address = guest_email(dice);
            put!(
                out,
                r#"{{"field":"webhook_event_url","from":{},"to":"https://hooks.example.com/telnyx?owner={}&from={}"}}"#,
                before("\"https://hooks.example.com/old\"".into()),
                super::percent_encoded(&address),
                v4(dice)
            );
        }
        5 => {
            put!(out, r#"{{"field":"billing.contact","from":{},"to":{{"name":"#, before("{}".into()));
            quoted(out, person.name);
            put!(out, r#","email":"{}","credit_limit":{}.5,"raw":"#, person.email, dice.below(900));
            quoted(out, &format!(r#"{{"cc":["{}"],"client":"SDK/10.0.0.1"}}"#, guest_email(dice)));
            out.push_str("}}");
        }
        _ => {
            put!(out, r#"{{"field":"tags","from":{},"to":"#, before("[]".into()));
            quoted(out, &format!("moved by {} — ticket #{}", person.email, dice.below(9_999)));
            out.push('}');
        }
    }
}
