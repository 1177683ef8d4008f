//! Invented people and addresses. Domains are reserved for examples (RFC 2606, RFC 6761), addresses for documentation
//! (RFC 5737, RFC 3849).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::content::{Dice, uuid};

/// Somebody who does not exist.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Person {
    pub name: &'static str,
    pub login: &'static str,
    pub email: &'static str,
}

const fn person(name: &'static str, login: &'static str, email: &'static str) -> Person {
    Person { name, login, email }
}

pub(crate) const PEOPLE: [Person; 24] = [
    person("Anna Ops", "ops-anna", "anna@harbour.example"),
    person("Bertil Ångström", "bertil.a", "bertil.angstrom@harbour.example"),
    person("Chiara Bianchi", "cbianchi", "chiara+audit@harbour.example"),
    person("Darragh O'Shea", "doshea", "d.o'shea@harbour.example"),
    person("Emre Yıldız", "emre", "emre.yildiz@mail.harbour.example"),
    person("Fatou N'Diaye", "fatou", "fatou_ndiaye@example.com"),
    person("Grzegorz Żak", "gzak", "grzegorz.zak@example.com"),
    person("山田 花子", "hanako", "hanako.yamada@example.org"),
    person("Ines de la Cruz", "ines", "ines@sub.corp.example.net"),
    person("Jóhanna Sigþórsdóttir", "johanna", "johanna@harbour.example"),
    person("Kwame Mensah", "kwame", "k.mensah@contractor.example"),
    person("Lê Thị Hương", "huong", "huong.le@example.net"),
    person("Мария Соколова", "maria.s", "maria.sokolova@example.com"),
    person("Nia Owusu", "nia", "nia-owusu@harbour.example"),
    person("Oskar Müller-Weiß", "oskar", "Oskar.Mueller@Harbour.Example"),
    person("Priya Raman", "praman", "priya.raman@example.org"),
    person("Quentin Dubois", "quentin", "q.dubois@harbour.example"),
    person("Rosa \"Rosie\" Park", "rosie", "rosa.park@harbour.example"),
    person("Søren Kjær", "soren", "soren.kjaer@example.com"),
    person("Tomáš Dvořák", "tomas", "tomas.dvorak@contractor.example"),
    person("Uma Thapa", "uma", "uma@example.com"),
    person("Viktor Horváth", "viktor", "viktor.horvath@harbour.example"),
    person("Wanjiru Kamau", "wanjiru", "wanjiru@harbour.example"),
    person("Zoë 🦊 Adeyemi", "zoe", "zoe.adeyemi@harbour.example"),
];

/// Browsers and tools. Their four-part versions look like addresses and are none.
pub(crate) const USER_AGENTS: [&str; 8] = [
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.6478.127 Safari/537.36 Edg/126.0.2592.87",
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
    "terraform/1.9.2 (+https://terraform.example)",
    "curl/8.7.1",
    "python-requests/2.32.3",
    "Go-http-client/2.0",
];

/// Which of [`PEOPLE`] did it.
pub(crate) fn someone(dice: &mut Dice) -> usize {
    dice.below(PEOPLE.len() as u64) as usize
}

/// The id a vendor knows the person by.
pub(crate) fn person_id(salt: u64, person: usize) -> String {
    uuid(salt ^ 0x9e09_1e00, person as u64)
}

/// The address of somebody outside, one of many thousands.
pub(crate) fn guest_email(dice: &mut Dice) -> String {
    format!("guest.{}@partner.example", dice.below(90_000) + 10_000)
}

pub(crate) fn v4(dice: &mut Dice) -> Ipv4Addr {
    let [a, b, c] = *dice.pick(&[[192, 0, 2], [198, 51, 100], [203, 0, 113]]);
    Ipv4Addr::new(a, b, c, (1 + dice.below(254)) as u8)
}

/// Mostly IPv4, some IPv6, now and then IPv4 inside IPv6.
pub(crate) fn ip(dice: &mut Dice) -> IpAddr {
    match dice.below(20) {
        0..15 => v4(dice).into(),
        15..19 => {
            let (site, host) = (dice.below(0x1_0000) as u16, dice.next());
            Ipv6Addr::new(0x2001, 0xdb8, site, 0, 0, 0, (host >> 16) as u16, host as u16).into()
        }
        _ => v4(dice).to_ipv6_mapped().into(),
    }
}
