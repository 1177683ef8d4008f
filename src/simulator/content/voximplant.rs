//! What a Voximplant audit row says: a management API call with its arguments.

use std::fmt::Write;
use std::net::IpAddr;

use super::{Dice, put, quoted};
use crate::simulator::credentials::VOXIMPLANT_ACCOUNT_ID;
use crate::simulator::people::{PEOPLE, Person, guest_email, ip, someone, v4};
use crate::simulator::timeline::{Micros, date};

/// The lowest `audit_log_id`, less one.
const FIRST_ID: u64 = 900_000_000;

/// Ids rise with gaps, as in a table that several writers share.
pub(crate) fn id(index: u64) -> u64 {
    FIRST_ID + index * 3
}

/// One row; what filters look at and what is written.
pub(crate) struct Facts {
    index: u64,
    dice: Dice,
    person: &'static Person,
    subuser_id: Option<u64>,
    pub ip: IpAddr,
    pub cmd: &'static str,
    /// A user, application or queue the call was about.
    pub subject: u64,
    pub phone: Option<String>,
}

const COMMANDS: [&str; 11] = [
    "BindSkill",
    "AddUser",
    "DelUser",
    "SetUserInfo",
    "AddSubUser",
    "SetSubUserRoles",
    "AddAuthorizedAccountIP",
    "CreateKey",
    "AttachPhoneNumber",
    "SetApplicationInfo",
    "Logon",
];

pub(crate) fn facts(salt: u64, index: u64) -> Facts {
    let mut dice = Dice::new(salt, index);
    let who = someone(&mut dice);
    let cmd = *dice.pick(&COMMANDS);
    Facts {
        index,
        person: &PEOPLE[who],
        // The owner acts without a sub-user.
        subuser_id: (who > 2).then_some(570 + who as u64),
        ip: ip(&mut dice),
        cmd,
        subject: 100_000 + dice.below(50_000),
        phone: (cmd == "AttachPhoneNumber").then(|| format!("1202555{:04}", dice.below(10_000))),
        dice,
    }
}

/// The text of every column; `None` where the row has no value.
pub(crate) struct Row {
    pub subuser_name: Option<String>,
    pub args: Option<String>,
    pub result: Option<String>,
}

/// `YYYY-MM-DD HH:mm:ss`, UTC.
pub(crate) fn stamp(time: Micros) -> String {
    date(time).format("%Y-%m-%d %H:%M:%S").to_string()
}

impl Facts {
    /// Whether the row carries `subuser_id`, and which.
    pub fn subuser_id(&self) -> Option<u64> {
        self.subuser_id
    }

    /// The values that need composing. The same however often it is asked.
    pub fn row(&self) -> Row {
        let mut dice = self.dice.clone();
        let subuser_name = self.subuser_id.map(|_| match dice.below(3) {
            0 => self.person.email.to_string(),
            1 => self.person.name.to_string(),
            _ => self.person.login.to_string(),
        });
        let args = (!dice.percent(5)).then(|| self.args(&mut dice));
        let result = match dice.below(10) {
            0 => None,
            1 => Some(r#"{"error":{"code":127,"msg":"account 192.0.2.1 is blocked"}}"#.to_string()),
            _ => Some(format!(r#"{{"result":1,"id":{}}}"#, self.subject)),
        };
        Row { subuser_name, args, result }
    }

    fn args(&self, dice: &mut Dice) -> String {
        let mut out = String::with_capacity(200);
        let subject = self.subject;
        match self.cmd {
            "BindSkill" => {
                put!(out, r#"{{"bind":true,"skill_id":[{}],"acd_queue_id":[12,{subject}]}}"#, dice.below(99))
            }
            "AddUser" | "SetUserInfo" => {
                put!(
                    out,
                    r#"{{"user_id":{subject},"user_name":"{}","user_password":"******","user_display_name":"#,
                    guest_email(dice)
                );
                quoted(&mut out, self.person.name);
                put!(out, r#","user_custom_data":"#);
                quoted(&mut out, &format!(r#"{{"mail":"{}","desk":"{}"}}"#, self.person.email, v4(dice)));
                out.push('}');
            }
            "DelUser" => put!(out, r#"{{"user_id":[{subject}]}}"#),
            "AddSubUser" => put!(
                out,
                r#"{{"new_subuser_name":"{}","new_subuser_password":"******","role_name":"Support"}}"#,
                self.person.login
            ),
            "SetSubUserRoles" => put!(out, r#"{{"subuser_id":{},"role_name":"Admin"}}"#, 570 + dice.below(9)),
            "AddAuthorizedAccountIP" => {
                put!(out, r#"{{"authorized_ip":"{}/24","allowed":true,"description":"#, v4(dice));
                quoted(&mut out, &format!("office; asked by \"{}\",\nsee {}", self.person.email, ip(dice)));
                out.push('}');
            }
            "AttachPhoneNumber" => put!(
                out,
                r#"{{"phone_number":"{}","country_code":"US","callback_url":"https://vox.example/in?mail={}"}}"#,
                self.phone.as_deref().unwrap_or_default(),
                super::percent_encoded(self.person.email)
            ),
            "Logon" => put!(out, r#"{{"account_email":"{}","user_agent":"Chrome/120.0.0.0"}}"#, self.person.email),
            "CreateKey" => put!(out, r#"{{"description":"ключ для {}","role_name":["Owner"]}}"#, self.person.login),
            _ => put!(out, r#"{{"application_id":{subject},"secure_record_storage":null}}"#),
        }
        out
    }

    /// Appends the row as JSON.
    pub fn write(&self, time: Micros, args_as_text: bool, out: &mut String) {
        let row = self.row();
        put!(out, r#"{{"audit_log_id":{},"account_id":{VOXIMPLANT_ACCOUNT_ID},"#, id(self.index));
        if let (Some(id), Some(name)) = (self.subuser_id, &row.subuser_name) {
            put!(out, r#""subuser_id":{id},"subuser_name":"#);
            quoted(out, name);
            out.push(',');
        }
        put!(out, r#""requested":"{}","ip":"{}","cmd_name":"{}""#, stamp(time), self.ip, self.cmd);
        for (name, value) in [("cmd_args", row.args), ("cmd_result", row.result)] {
            let Some(value) = value else { continue };
            put!(out, r#","{name}":"#);
            if args_as_text { quoted(out, &value) } else { out.push_str(&value) }
        }
        out.push('}');
    }
}
