//! What an Ashby audit log entry says: who touched which hiring object, and the fields before and after.

use std::fmt::Write;
use std::time::Duration;

use super::{Dice, instant, put, quoted, uuid};
use crate::simulator::people::{PEOPLE, guest_email, ip, person_id, someone};
use crate::simulator::timeline::Micros;

/// The closed vocabulary: each category and the one target type it belongs to.
pub(crate) const VOCABULARY: [(&str, &str); 10] = [
    ("JobStatusChanged", "job"),
    ("JobCreated", "job"),
    ("JobHiringTeamChanged", "job"),
    ("AppUserRoleChanged", "app_user"),
    ("AppUserDeactivated", "app_user"),
    ("CandidateEmailChanged", "candidate"),
    ("CandidateDeleted", "candidate"),
    ("ApplicationStageChanged", "application"),
    ("ApiKeyCreated", "api_key"),
    ("OfferApproved", "offer"),
];

/// `request` is emptied in entries older than this.
const REQUEST_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// What filters look at, and what the rest is made from.
pub(crate) struct Facts {
    id: String,
    dice: Dice,
    who: usize,
    actor_type: &'static str,
    pub actor_id: Option<String>,
    pub category: &'static str,
    pub target_type: &'static str,
    pub target_id: String,
}

pub(crate) fn facts(salt: u64, index: u64) -> Facts {
    let mut dice = Dice::new(salt, index);
    let who = someone(&mut dice);
    let (category, target_type) = *dice.pick(&VOCABULARY);
    let actor_type = *dice.pick(&[
        "User",
        "User",
        "User",
        "User",
        "ApiUser",
        "Automation",
        "Support",
        "Candidate",
        "Operations",
        "System",
        "Other",
    ]);
    let nobody = matches!(actor_type, "Automation" | "Other" | "System") && dice.percent(60);
    Facts {
        id: uuid(salt, index),
        who,
        actor_type,
        actor_id: (!nobody).then(|| person_id(salt ^ actor_type.len() as u64, who)),
        category,
        target_type,
        target_id: uuid(salt ^ 0x7a59, dice.below(20_000)),
        dice,
    }
}

impl Facts {
    /// Appends the entry as JSON, as it looks at `now`.
    pub fn write(mut self, time: Micros, now: Micros, out: &mut String) {
        put!(
            out,
            r#"{{"id":"{}","createdAt":"{}","actor":{{"type":"{}","id":"#,
            self.id,
            instant(time),
            self.actor_type
        );
        match &self.actor_id {
            Some(id) => put!(out, r#""{id}","name":"#),
            None => out.push_str(r#"null,"name":"#),
        }
        // The vendor promises never to name a candidate.
        if self.actor_id.is_some() && !matches!(self.actor_type, "Candidate" | "System") {
            quoted(out, PEOPLE[self.who].name);
        } else {
            out.push_str("null");
        }
        put!(out, r#"}},"target":{{"type":"{}","id":"{}"}},"#, self.target_type, self.target_id);
        put!(out, r#""category":"{}","changedFields":"#, self.category);
        self.write_changes(out);
        if now - time > REQUEST_KEPT.as_micros() as i64 {
            out.push_str(r#","request":{"id":null,"ipAddress":null}}"#);
        } else {
            let id = self.dice.below(99_999_999);
            put!(out, r#","request":{{"id":"req_{id:x}","ipAddress":"{}"}}}}"#, ip(&mut self.dice));
        }
    }

    fn write_changes(&mut self, out: &mut String) {
        let (dice, person) = (&mut self.dice, &PEOPLE[self.who]);
        match self.category {
            "JobCreated" | "CandidateDeleted" | "ApiKeyCreated" => out.push_str("null"),
            "JobStatusChanged" => out.push_str(r#"{"status":["Draft","Open"],"isListed":[false,true]}"#),
            "JobHiringTeamChanged" => put!(
                out,
                r#"{{"hiringManager":[null,{{"ref":"{}","type":"app_user"}}],"openings":[1,{}]}}"#,
                person_id(7, self.who),
                dice.below(9)
            ),
            "AppUserRoleChanged" => {
                put!(
                    out,
                    r#"{{"globalRole":["Limited Access","Organization Admin"],"email":[null,"{}"],"note":["", "#,
                    person.email
                );
                quoted(out, &format!("wie besprochen mit {} ✓", person.name));
                out.push_str("]}");
            }
            "CandidateEmailChanged" => put!(
                out,
                r#"{{"primaryEmailAddress":["{}","{}"],"emailAddresses":[[],[{{"value":"{}","type":"Work","isPrimary":true}}]],"socialLinks":[null,"https://people.example/u?mail={}"]}}"#,
                guest_email(dice),
                guest_email(dice),
                guest_email(dice),
                super::percent_encoded(&guest_email(dice))
            ),
            "OfferApproved" => {
                put!(out, r#"{{"salary":[{},{}.5],"terms":[null,"#, dice.below(90_000), dice.below(90_000));
                quoted(out, &format!(r#"{{"approver":"{}","from":"{}"}}"#, person.email, ip(dice)));
                out.push_str("]}");
            }
            _ => put!(
                out,
                r#"{{"stage":["Phone Screen","Onsite"],"lastSeenIp":[null,"{}"],"reason":[null,null]}}"#,
                ip(dice)
            ),
        }
    }
}
