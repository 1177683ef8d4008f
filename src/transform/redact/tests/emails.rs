//! What is an e-mail address, in every form it is written in, and what only looks like one.

use super::*;

#[test]
fn finds_emails_in_every_form() {
    for (text, expected) in [
        ("ada@example.com", "<E>"),
        ("Ada.Lovelace+audit@Mail.Example.co.uk", "<E>"),
        ("mail ada@example.com, bob@example.org.", "mail <E>, <E>."),
        ("ada@example.com...", "<E>..."),
        ("<ada@example.com>;(bob@example.org)!", "<<E>>;(<E>)!"),
        ("'ada@example.com' \"bob@example.org\" `eve@example.net`", "'<E>' \"<E>\" `<E>`"),
        ("mailto:ada@example.com?subject=x", "mailto:<E>?subject=x"),
        ("https://x.example/?user=ada@example.com&n=1", "https://x.example/?user=<E>&n=1"),
        ("https://x.example/?user=ada%2Bx%40example.com&n=1", "https://x.example/?user=<E>&n=1"),
        ("ada%40example%2Ecom", "<E>"),
        ("to%3Dada%2540example.com%26", "to%3D<E>%26"),
        ("https://ada:pw@example.com/x", "https://ada:<E>/x"),
        ("git@github.com:org/repo", "<E>:org/repo"),
        ("\"ada lovelace\"@example.com", "<E>"),
        (r#"{\"to\":\"ada@example.com\"}"#, r#"{\"to\":\"<E>\"}"#),
        (r#"{\"to\":\"ada\u0040example.com\"}"#, r#"{\"to\":\"<E>\"}"#),
        (r#"{\"to\":\"\\\"ada lovelace\\\"@example.com\"}"#, r#"{\"to\":\"<E>\"}"#),
        (r"line\nada@example.com\nline", r"line\n<E>\nline"),
        (r"CORP\ada@example.com", r"CORP\<E>"),
        ("o'brien@example.com", "<E>"),
        ("user%relay.example@example.com", "<E>"),
        ("host!user@example.com", "<E>"),
        ("bounces+ada=example.com@lists.example", "<E>"),
        ("SRS0=HHH=TT=example.com=ada@forward.example", "<E>"),
        ("#!$%&'*+-/=?^_`{}|~@example.org", "<E>"),
        ("user-@example.org", "<E>"),
        ("ada@xn--bcher-kva.example", "<E>"),
        ("ädä@bücher.example", "<E>"),
        ("用户@例子.example。谢谢", "<E>。谢谢"),
        ("“ada@example.com”", "“<E>”"),
        ("ada＠example．com", "<E>"),
        ("ada&#64;example.com", "<E>"),
        ("ada@[203.0.113.4]", "<E>"),
        ("ada@[IPv6:2001:db8::1]", "<E>"),
        ("root@203.0.113.4:22", "<E>:22"),
        ("ada@localhost", "<E>"),
        ("ada.lovelace@corp", "<E>"),
        ("Root <root@db1>", "Root <<E>>"),
        ("ada@163.com", "<E>"),
        ("@ada@social.example", "@<E>"),
        ("ada@relay@example.com", "<E>"),
        ("\"bob@example.org\"@example.com", "<E>"),
        ("a@b.example@", "<E>@"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
}

#[test]
fn long_parts_do_not_save_an_address() {
    let local = "a".repeat(5000);
    let host = "b.".repeat(5000);
    assert_eq!(shape(&format!("x {local}@example.com y")), "x <E> y");
    assert_eq!(shape(&format!("ada@{host}example y")), "<E> y");
}

#[test]
fn leaves_what_is_no_email() {
    for text in [
        "@",
        "@ada",
        "a @ b",
        "name@1.2.3",
        "lodash@^4.17.21",
        "react@18",
        "react@18.x",
        "ci.yml@main",
        ".github/workflows/ci.yaml@refs/tags/v1",
        "react@18.2.0-rc.1",
        "next@canary",
        "pkg@1.2.x",
        "@types/node@20.11.5",
        "actions/checkout@v4",
        "actions/checkout@v4.1.2",
        "actions/checkout@main",
        "image:1.2@sha256:9f2c41d07be84a6f",
        "golang.org/x/net@v0.0.0-20240101120000-abcdef123456",
        "logo@2x.png",
        "HEAD@{1}",
        "root@db1",
        "@example.com",
        r#"{"domains": ["@example.com"]}"#,
        "['@example.com']",
        "*@example.com",
        "user@",
        "user@ example.com",
        "user@-",
        "user@[nothing]",
    ] {
        assert_eq!(masked(text), text);
    }
}

#[test]
fn names_of_windows_and_rewritten_senders_are_found_whole() {
    for (text, expected) in [
        (r"AzureAD\bob@contoso.com", r"AzureAD\<E>"),
        (r"AzureAD\\bob@contoso.com", r"AzureAD\\<E>"),
        (r"AzureAD\nina@contoso.com", r"AzureAD\<E>"),
        (r"CORP\fay@contoso.com", r"CORP\<E>"),
        ("bounces-ada=example.com@lists.example", "<E>"),
        ("client-email=ada.b@example.com", "client-email=<E>"),
    ] {
        assert_eq!(shape(text), expected, "{text}");
    }
    let bob = redact(&redactor(Some(EmailAction::Pseudonym), None), r"AzureAD\bob@contoso.com");
    assert_eq!(bob, format!(r"AzureAD\{}", redact(&redactor(Some(EmailAction::Pseudonym), None), "bob@contoso.com")));
}
