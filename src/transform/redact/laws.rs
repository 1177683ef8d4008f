//! What holds for every text: property tests.

use proptest::prelude::*;

use std::net::{Ipv4Addr, Ipv6Addr};

use super::encoded::{Decoded, Text};
use super::tests::{everything, key, redactor};
use super::*;

const EMAILS: [EmailAction; 5] =
    [EmailAction::Mask, EmailAction::Remove, EmailAction::Pseudonym, EmailAction::Encrypt, EmailAction::KeepDomain];
const IPS: [IpAction; 5] =
    [IpAction::Mask, IpAction::Remove, IpAction::Pseudonym, IpAction::Encrypt, IpAction::Truncate];
const TEXTS: [TextAction; 4] = [TextAction::Mask, TextAction::Remove, TextAction::Pseudonym, TextAction::Encrypt];

/// Something that identifies, found again by a plain search in the wholly decoded text.
#[derive(Debug, Clone)]
struct Planted {
    written: String,
    /// What must be gone.
    trace: String,
}

fn any_treatment() -> impl Strategy<Value = Redactor> {
    let select = prop::sample::select::<EmailAction>;
    (select(EMAILS.to_vec()), prop::sample::select(IPS.to_vec()), prop::sample::select(TEXTS.to_vec()))
        .prop_map(|(emails, ips, texts)| everything(emails, ips, texts))
}

fn planted_email() -> impl Strategy<Value = Planted> {
    let local = prop_oneof![
        "zq[a-z0-9]{4}",
        "zq[a-z0-9]{3}[.+_-][a-z0-9]{3}",
        Just("zq'brien".to_owned()),
        Just("zqödä".to_owned()),
    ];
    let host = prop_oneof![
        "[a-z]{2,8}\\.(com|example|co\\.uk)",
        Just("xn--bcher-kva.example".to_owned()),
        Just("bücher.example".to_owned()),
        Just("[203.0.113.77]".to_owned()),
        Just("localhost".to_owned()),
    ];
    (local, host).prop_map(|(local, host)| Planted { written: format!("{local}@{host}"), trace: local })
}

fn planted_ip() -> impl Strategy<Value = Planted> {
    let v4 = (1u8..=223, any::<u8>(), any::<u8>(), 1u8..=254).prop_map(|(a, b, c, d)| format!("{a}.{b}.{c}.{d}"));
    let v6 = prop_oneof![
        any::<u64>().prop_map(|tail| Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(tail | 1)).to_string()),
        any::<u128>().prop_map(|all| Ipv6Addr::from(all >> 4 | 1 << 125).to_string()),
        any::<u32>().prop_map(|v4| format!("::ffff:{}", Ipv4Addr::from(v4 | 1))),
        "fe80::[1-9a-f]{1,4}%(eth0|wlan1|lo)",
        Just("2001:0DB8:0000:0000:0000:0000:0000:00A1".to_owned()),
    ];
    prop_oneof![v4, v6].prop_map(|written| Planted { trace: written.clone(), written })
}

fn planted() -> impl Strategy<Value = Planted> {
    prop_oneof![planted_email(), planted_ip()]
}

/// What only the detectors find that have to be switched on.
fn planted_text() -> impl Strategy<Value = Planted> {
    let written = prop_oneof![
        "\\+49 ?15[1-9] ?[0-9]{7}",
        "\\+1[ -]?[2-9][0-9]{2}[ -][2-9][0-9]{2}[ -][0-9]{4}",
        "\\+4479[0-9]{8}",
        "\\+380 ?[1-9][0-9] ?[0-9]{3} ?[0-9]{4}",
        Just("4111111111111111".to_owned()),
        Just("4111 1111 1111 1111".to_owned()),
        Just("5500-0055-5555-5559".to_owned()),
        Just("3782 822463 10005".to_owned()),
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9\\.eyJ[A-Za-z0-9_-]{20,40}\\.[A-Za-z0-9_-]{43}",
        "AKIA[A-Z0-9]{16}",
        "ghp_[A-Za-z0-9]{36}",
        "glpat-[A-Za-z0-9]{20}",
        "xoxb-[0-9]{12}-[0-9]{12}-[a-zA-Z0-9]{24}",
        "sk_live_[A-Za-z0-9]{24}",
        "AIza[A-Za-z0-9]{35}",
        "SG\\.[A-Za-z0-9]{22}\\.[A-Za-z0-9]{43}",
        "npm_[A-Za-z0-9]{36}",
        "sk-proj-A1[A-Za-z0-9]{46}",
        "KEY0[A-Z0-9]{31}_[A-Za-z0-9]{22}",
        "EMP-[0-9]{5}",
    ];
    written.prop_map(|written| Planted { trace: written.clone(), written })
}

/// What may stand directly around an address without being read as a part of it.
fn border() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "", " ", "\"", "<", ">", "(", ")", "[", "]", "{", "}", ",", ";", "|", "/", "?", "&", "=", "\n", "\t", "“", "”",
        "、", "（", "\u{a0}", "'",
    ])
}

fn lookalike() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "08:22:31",
        "2024-01-01T08:22:31Z",
        "v1.2.3.4",
        "1.2.3",
        "1.3.6.1.4.1",
        "00:1a:2b:3c:4d:5e",
        "a::b",
        "std::vec::Vec",
        "name@1.2.3",
        "checkout@v4",
        "@ada",
        "Chrome/120.0.0.0",
        "00:1a:2b:ff:fe:3c:4d:5e",
        "16:9",
        "a1b2c3d4-0000-4000-8000-1234567890ab",
        "100%",
        "C:\\\\Users\\\\x",
        "::",
        "0.0.0.0",
        "logo@2x.png",
        "12.1.2.3-beta",
        "version 40.1.2.3-dev",
        "Zoom/5.17.5.2",
        r"v1\.2\.3\.4",
        r"08\:22\:31",
        r"std\:\:vec",
        "1[.]3[.]6[.]1[.]4[.]1",
        "08[:]22[:]31",
        "a[:][:]b",
        "name[@]1[.]2[.]3",
        "name[at]1[dot]2[dot]3",
        "${all[@]}",
        "v1․2․3․4",
        "08:22\u{200E}:31",
        "say&uuml;&period;",
        "a %20@ b",
        "+02:00",
        "+1.5x",
        "1789374151000123",
        "4111111111111112",
        "1+4915123456789",
        "task-management-Board-2024-Q1-review",
        "a.b.c",
        "EMP-123456",
        "0.4111111111111111",
        "3.14159265358979",
    ])
}

/// How many ways there are, and what stands for none of them.
const WAYS: u8 = 17;

/// The ways a text gets into another one.
fn wrap(way: u8, text: &str) -> String {
    let quoted = |text: &str| serde_json::to_string(text).expect("a string");
    let encode = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    match way {
        0 => quoted(text),
        1 => format!("{{\"k\":{}}}", quoted(text)),
        2 => format!("https://x.example/p?q={}&r=1", encode(text)),
        3 => text.bytes().map(|b| format!("%{b:02X}")).collect(),
        4 => text.encode_utf16().map(|u| format!("\\u{u:04x}")).collect(),
        5 => text.replace('@', "%40").replace(':', "%3a"),
        6 => text.replace('@', "&#64;").replace('.', "&#x2e;"),
        7 => quoted(&text.replace('@', "\\u0040").replace('.', "\\u002E")),
        // As in an expression, or in Perl.
        8 => before_signs("\\", text),
        9 => before_signs("\\\\\\", text),
        // Defanged.
        10 => text.replace('.', "[.]").replace('@', "[@]").replace(':', "[:]"),
        11 => text.replace('.', "[dot]").replace('@', "[at]"),
        12 => text.replace('.', "(.)").replace('@', "(@)"),
        // Copied from where the direction is told.
        13 => format!("\u{202A}{}\u{202C}", before_signs("\u{200E}", text)),
        14 => text.replace('.', "․\u{2063}").replace('@', "\u{2068}@\u{2069}"),
        15 => html(text),
        // A browser needs no semicolon before what goes on with another sign or letter.
        16 => without_semicolons(text),
        _ => text.to_owned(),
    }
}

fn before_signs(mark: &str, text: &str) -> String {
    let marked = |char: char| match char {
        '.' | '@' | ':' | '-' | '_' | '+' => format!("{mark}{char}"),
        char => char.to_string(),
    };
    text.chars().map(marked).collect()
}

fn html(text: &str) -> String {
    const NAMES: [(char, &str); 11] = [
        ('@', "&commat;"),
        ('.', "&period;"),
        (':', "&colon;"),
        ('+', "&plus;"),
        ('_', "&lowbar;"),
        ('-', "&hyphen;"),
        ('\'', "&apos;"),
        ('"', "&quot;"),
        ('&', "&amp;"),
        ('ö', "&ouml;"),
        ('ü', "&uuml;"),
    ];
    let named = |char: char| match NAMES.iter().find(|(named, _)| *named == char) {
        Some((_, name)) => (*name).to_owned(),
        None => char.to_string(),
    };
    text.chars().map(named).collect()
}

fn without_semicolons(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match (char, chars.peek()) {
            ('@' | '+' | '_', Some(next)) if next.is_ascii_lowercase() => {
                out.push_str(&format!("&#{}", u32::from(char)))
            }
            _ => out.push(char),
        }
    }
    out
}

/// Pieces that meet in unforeseen ways.
fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        planted().prop_map(|p| p.written),
        lookalike().prop_map(str::to_owned),
        border().prop_map(str::to_owned),
        prop::sample::select(vec![
            "@",
            ":",
            "::",
            ".",
            "..",
            "%",
            "%40",
            "%25",
            "%3A",
            "%2",
            "\\",
            "\\\\",
            "\\n",
            "\\u00",
            "\\u0040",
            "\\\"",
            "&#",
            "&#64;",
            "&#64",
            "&uuml;",
            "&lt",
            "\\.",
            "\\@",
            "\\:",
            "\\u{40}",
            "[.]",
            "[@]",
            "[:]",
            "[dot]",
            "[at]",
            "(.)",
            "\u{200E}",
            "\u{202C}\u{202A}",
            "\u{200B}",
            "․",
            "%20@",
            "%20",
            "-dev",
            "rc1",
            "Zoom/",
            "version ",
            "1",
            "12",
            "a",
            "e1-",
            "dead:",
            "1:",
            ":5",
            ".1",
            "-",
            "'",
            "\"",
            "[",
            "]",
            "%eth0",
            "@x.example",
            "masked@masked.invalid",
            "masked@example.com",
            "3fff:add:1::5",
            "é",
            "＠",
            "😀",
            "+",
            "=",
            "SRS0=",
            "//",
            "+",
            "+49",
            "+4915123456789",
            "4111",
            "4111111111111111",
            "eyJhbGciOiJIUzI1NiJ9.",
            "e30.",
            "ghp_",
            "sk-",
            "EMP-12345",
            "masked-employee",
            "x1-",
            "e1-jrv6evancv3mod5zcaibmzr25q",
            "encrypted.invalid",
            "3fff:aee:1::5",
            "::%x1-",
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,4}",
        (0..WAYS, planted()).prop_map(|(way, p)| wrap(way, &p.written)),
    ]
}

fn messy() -> impl Strategy<Value = String> {
    prop::collection::vec(fragment(), 0..8).prop_map(|pieces| pieces.concat())
}

fn decoded(text: &str) -> String {
    Decoded::of(text)
        .map_or(text.to_owned(), |decoded| String::from_utf8_lossy(Text::decoded(text, &decoded).bytes).into())
}

/// Many, because what goes wrong here is two rare things side by side; more where a machine has the time.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(2000)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn twice_is_once(text in messy(), emails in prop::sample::select(EMAILS.to_vec()), ips in prop::sample::select(IPS.to_vec())) {
        for redactor in [redactor(Some(emails), Some(ips)), redactor(Some(emails), None), redactor(None, Some(ips))] {
            if let Some(once) = redactor.text(&text, &mut Hits::default()) {
                let twice = redactor.text(&once, &mut Hits::default());
                prop_assert_eq!(twice.as_deref(), None, "first round gave {:?}", once);
            }
        }
    }

    #[test]
    fn twice_is_once_with_everything(
        pieces in prop::collection::vec(prop_oneof![3 => fragment(), 1 => planted_text().prop_map(|p| p.written)], 0..8),
        redactor in any_treatment(),
    ) {
        if let Some(once) = redactor.text(&pieces.concat(), &mut Hits::default()) {
            let twice = redactor.text(&once, &mut Hits::default());
            prop_assert_eq!(twice.as_deref(), None, "first round gave {:?}", once);
        }
    }

    #[test]
    fn no_secret_survives(
        planted in prop_oneof![planted_text(), planted()], border in prop::sample::select(vec![" ", "\"", "<", "(", ",", ";", "|", "=", "\n", "\t", "“", "、", "\u{a0}", ": "]),
        prose in "[a-z ]{0,8}", ways in prop::collection::vec(0..=WAYS, 0..3), emails in prop::sample::select(EMAILS.to_vec()), ips in prop::sample::select(IPS[..4].to_vec()), texts in prop::sample::select(TEXTS.to_vec()),
    ) {
        let plain = format!("{prose}{border}{}{border}{prose}", planted.written);
        let text = ways.iter().fold(plain, |text, way| wrap(*way, &text));
        let redacted = everything(emails, ips, texts).text(&text, &mut Hits::default());
        let redacted = redacted.ok_or_else(|| TestCaseError::fail(format!("nothing found in {text}")))?;
        let seen = decoded(&redacted);
        prop_assert!(!seen.contains(&planted.trace), "{} became {}", text, redacted);
    }

    #[test]
    fn reveal_undoes_encrypt(
        planted in prop_oneof![planted_text(), planted()], way in 0..=WAYS, before in "[a-z]{0,5} ?", after in " ?[a-z]{0,5}",
        field in any::<bool>(),
    ) {
        // A way that encodes every byte leaves no word around the stand-in that says how it is to be written.
        let way = if matches!(way, 3 | 4) { 0 } else { way };
        let canonical = match planted.written.contains('@') {
            true => email::canonical(planted.written.as_bytes()),
            false => planted.written.clone(),
        };
        let redactor = everything(EmailAction::Encrypt, IpAction::Encrypt, TextAction::Encrypt);
        let reveal = |text: &str| {
            let mut counts = Revealed::default();
            let clear = Revealer::new([key()]).text(text, &mut counts);
            (clear, counts)
        };
        let alone = match field {
            true => stand_in::whole(&planted.written, &policy::Treatment::Encrypt(key())),
            false => redactor.text(&planted.written, &mut Hits::default()),
        };
        let alone = alone.ok_or_else(|| TestCaseError::fail(format!("nothing found in {}", planted.written)))?;
        let (clear, counts) = reveal(&alone);
        let clear = clear.ok_or_else(|| TestCaseError::fail(format!("{alone} hides {}", planted.written)))?;
        prop_assert_eq!((counts.clear, counts.lacks_a_key()), (1, false));
        if let Ok(ip) = canonical.split('%').next().unwrap_or_default().parse::<IpAddr>() {
            let ip = match ip { IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4), ip => ip };
            prop_assert_eq!(&clear, &ip.to_string());
        } else if field || planted.written.contains('@') {
            prop_assert_eq!(&clear, &canonical);
        }
        // Wherever it stands, it is told again and becomes the same.
        let (clear_there, _) = reveal(&wrap(way, &format!("{before} {alone} {after}")));
        let clear_there = clear_there.ok_or_else(|| TestCaseError::fail(format!("{alone} is not told again by {way}")))?;
        prop_assert!(decoded(&clear_there).contains(&decoded(&clear)), "{} became {}", alone, clear_there);
    }

    #[test]
    fn another_key_reveals_nothing(planted in planted(), secret in any::<[u8; 16]>(), epoch in 1u16..3) {
        let redactor = everything(EmailAction::Encrypt, IpAction::Encrypt, TextAction::Encrypt);
        let text = redactor.text(&planted.written, &mut Hits::default()).unwrap_or_default();
        let mut counts = Revealed::default();
        let other = Key::new(epoch, &secret).expect("16 bytes");
        prop_assert_eq!(Revealer::new([other]).text(&text, &mut counts), None);
        prop_assert_eq!((counts.clear, counts.lacks_a_key()), (0, true));
    }

    #[test]
    fn nothing_planted_survives(
        planted in planted(), before in border(), after in border(), prose in "[a-z ]{0,8}",
        ways in prop::collection::vec(0..=WAYS, 0..3),
        emails in prop::sample::select(EMAILS.to_vec()), ips in prop::sample::select(IPS[..4].to_vec()),
    ) {
        // Between letters there is no telling where an address begins.
        let before = if before.is_empty() && prose.ends_with(|c: char| c.is_alphabetic()) { " " } else { before };
        let after = if after.is_empty() && prose.starts_with(|c: char| c.is_alphabetic()) { " " } else { after };
        let plain = format!("{prose}{before}{}{after}{prose}", planted.written);
        let text = ways.iter().fold(plain, |text, way| wrap(*way, &text));
        let redacted = redactor(Some(emails), Some(ips)).text(&text, &mut Hits::default());
        let redacted = redacted.ok_or_else(|| TestCaseError::fail(format!("nothing found in {text}")))?;
        let seen = decoded(&redacted);
        prop_assert!(!seen.contains(&planted.trace), "{} became {}", text, redacted);
    }

    #[test]
    fn lookalikes_survive(pieces in prop::collection::vec(lookalike(), 1..6), space in prop::sample::select(vec![" ", ", ", "\n", " | "])) {
        let text = pieces.join(space);
        let both = redactor(Some(EmailAction::Mask), Some(IpAction::Mask));
        prop_assert_eq!(both.text(&text, &mut Hits::default()), None);
        let all = everything(EmailAction::Mask, IpAction::Mask, TextAction::Mask);
        prop_assert_eq!(all.text(&text, &mut Hits::default()), None);
    }

    #[test]
    fn the_rest_of_the_text_stays(planted in planted(), before in "[a-z]{0,9} ", after in " [a-z]{0,9}") {
        let text = format!("{before}{}{after}", planted.written);
        let removed = redactor(Some(EmailAction::Remove), Some(IpAction::Remove)).text(&text, &mut Hits::default());
        prop_assert_eq!(removed, Some(format!("{before}{after}")));
    }

    #[test]
    fn pseudonyms_depend_on_the_key_alone(planted in planted(), secret in any::<[u8; 16]>(), other in any::<[u8; 16]>()) {
        prop_assume!(secret != other);
        let pseudonym = |secret: &[u8]| {
            let key = Some(Key::new(7, secret).expect("16 bytes"));
            let (emails, ips) = (Some(EmailAction::Pseudonym), Some(IpAction::Pseudonym));
            let policy = Policy { emails, ips, key, ..Policy::default() };
            Redactor::new(policy).expect("a key").text(&planted.written, &mut Hits::default())
        };
        prop_assert_eq!(pseudonym(&secret), pseudonym(&secret));
        prop_assert_ne!(pseudonym(&secret), pseudonym(&other));
    }

    #[test]
    fn any_text_can_be_redacted(text in any::<String>(), noise in "[@.:%\\\\u0-9a-f\"&#;é＠。]{0,40}") {
        let both = redactor(Some(EmailAction::KeepDomain), Some(IpAction::Truncate));
        for text in [&text, &noise, &format!("{text}{noise}")] {
            let mut hits = Hits::default();
            let redacted = both.text(text, &mut hits);
            prop_assert_eq!(redacted.is_some(), hits != Hits::default());
        }
    }
}
