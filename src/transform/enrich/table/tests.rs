//! Tables of all kinds, whole and broken.

use super::*;

fn shape(matching: Match) -> Shape {
    let take = vec!["team".to_owned(), "cost".to_owned()];
    Shape { by: "key".to_owned(), take, matching, case_sensitive: false }
}

fn read_as(name: &str, text: &[u8], shape: &Shape) -> Result<Content<Table>, Unread> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    Table::read(&path, shape)
}

fn found<'t>(table: &'t Table, text: &str) -> Option<Vec<&'t str>> {
    table.find(text).map(|row| table.row(row).collect())
}

#[test]
fn csv_with_marks_quotes_and_line_ends_of_any_kind() {
    let text = "\u{feff}cost, key ,\"team\"\r\n7,Anna@Example.com,\"blue, \"\"navy\"\"\"\r\n\r\n,bo@example.com,\n";
    let content = read_as("t.csv", text.as_bytes(), &shape(Match::Exact)).unwrap();
    assert_eq!((content.entries, content.passed_over), (Some(2), Vec::new()));
    assert_eq!(found(&content.value, " anna@EXAMPLE.com"), Some(vec!["blue, \"navy\"", "7"]));
    assert_eq!(found(&content.value, "bo@example.com"), Some(vec!["", ""]));
    assert_eq!(found(&content.value, "example.com"), None);
}

#[test]
fn the_same_table_in_three_kinds_of_file() {
    let lines = "\u{feff}{\"key\":\"k\",\"team\":true,\"cost\":7.50}\r\n\n{\"key\":2,\"team\":null}\n";
    let files = [
        ("t.csv", "key,team,cost\nk,true,7.50\n2,,\n"),
        ("t.tsv", "key\tteam\tcost\nk\ttrue\t7.50\n2\t\t\n"),
        ("t.NDJSON", lines),
    ];
    for (name, text) in files {
        let table = read_as(name, text.as_bytes(), &shape(Match::Exact)).unwrap().value;
        assert_eq!(found(&table, "K"), Some(vec!["true", "7.50"]), "{name}");
        assert_eq!(found(&table, "2"), Some(vec!["", ""]), "{name}");
    }
}

#[test]
fn of_doubled_keys_the_last_counts_and_lines_are_told() {
    let text = "key,team,cost\nA,red,1\nb,x,2\n,lost,3\na,blue,4\n,,\na,green,\n";
    let content = read_as("t.csv", text.as_bytes(), &shape(Match::Exact)).unwrap();
    assert_eq!(content.entries, Some(2));
    assert_eq!(found(&content.value, "a"), Some(vec!["green", ""]));
    let told = [
        "line 5 has a key that stands above already: the last one counts, and another line",
        "line 4 has no key, and is passed over, and another line",
    ];
    assert_eq!(content.passed_over, told);
    let exact = Shape { case_sensitive: true, ..shape(Match::Exact) };
    let table = read_as("t.csv", text.as_bytes(), &exact).unwrap().value;
    assert_eq!(found(&table, "A"), Some(vec!["red", "1"]));
    assert_eq!(found(&table, "B"), None);
    let doubled = "key,team,cost\n10.0.0.0/8,a,\n10.1.0.0/16,b,\n10.0.0.1/8,c,\n";
    let table = read_as("t.csv", doubled.as_bytes(), &shape(Match::Cidr)).unwrap().value;
    assert_eq!(found(&table, "10.2.0.1"), Some(vec!["c", ""]));
    assert_eq!(found(&table, "10.1.0.1"), Some(vec!["b", ""]));
}

#[test]
fn networks_and_domains_are_found_by_the_longest() {
    let text = "key,team,cost\n10.0.0.0/8,all,\n10.1.0.0/16,some,\n2001:db8::/32,six,\n::ffff:192.0.2.0/120,mapped,\n";
    let table = read_as("t.csv", text.as_bytes(), &shape(Match::Cidr)).unwrap().value;
    let team = |text| found(&table, text).map(|row| row[0]);
    let cases = [("10.9.9.9", "all"), ("::ffff:10.1.2.3", "some"), ("2001:DB8::1", "six"), ("192.0.2.9:80", "mapped")];
    for (address, expected) in cases {
        assert_eq!(team(address), Some(expected), "{address}");
    }
    assert_eq!([team("11.0.0.1"), team("corp.example"), team("")], [None; 3]);

    let text = "key,team,cost\nCorp.example,all,\n*.mail.corp.example.,mail,\n";
    let table = read_as("t.csv", text.as_bytes(), &shape(Match::Domain)).unwrap().value;
    let team = |text| found(&table, text).map(|row| row[0]);
    let cases = [
        ("anna@corp.example", "all"),
        ("https://x.MAIL.corp.example:8443/a", "mail"),
        ("mail.corp.example", "mail"),
        ("b.corp.example.", "all"),
    ];
    for (host, expected) in cases {
        assert_eq!(team(host), Some(expected), "{host}");
    }
    assert_eq!([team("evilcorp.example"), team("example"), team("192.0.2.1")], [None; 3]);
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    let cases: [(&str, &[u8], Match, &str); 15] = [
        ("t.csv", b"", Match::Exact, "it is empty"),
        ("t.csv", b"key,team\nk,v\n", Match::Exact, "there is no `cost`"),
        ("t.csv", b"key,team,cost\nk,v,1\nk,v\n", Match::Exact, "line 3: the table has 3 columns, and this line 2"),
        ("t.csv", b"key,team,cost,team\nk,v,1,w\n", Match::Exact, "line 1: it has more than one column `team`"),
        ("t.csv", b"cost,key,key,team\n1,k,k,v\n", Match::Exact, "line 1: it has more than one column `key`"),
        ("t.csv", b"key,team,cost\nk,\xff,1\n", Match::Exact, "line 2: this is not UTF-8"),
        ("t.csv", b"key,team,cost\n\"10.0.0.0/8\n\",v,1\n10.0.0.0/33,v,1\n", Match::Cidr, "line 4: this is no network"),
        ("t.csv", b"key,team,cost\na b,v,1\n", Match::Domain, "line 2: this is no domain"),
        ("t.txt", b"key,team,cost\n", Match::Exact, "its name does not say what kind of table it is"),
        ("t.ndjson", b"\n", Match::Exact, "it is empty"),
        ("t.ndjson", b"{\"key\":1,\"team\":2}\n", Match::Exact, "there is no `cost`"),
        ("t.ndjson", b"{\"key\":1,\"team\":[],\"cost\":1}\n", Match::Exact, "line 1: `team` is a list"),
        ("t.ndjson", b"\n[1]\n", Match::Exact, "line 2: expected an object, found a list"),
        ("t.ndjson", b"{\"key\":{},\"team\":1,\"cost\":1}\n", Match::Exact, "line 1: `key` is an object"),
        ("t.ndjson", b"{\"key\":1,\n", Match::Exact, "line 1: not JSON at byte"),
    ];
    for (name, text, matching, expected) in cases {
        let error = read_as(name, text, &shape(matching)).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_quote_that_is_not_closed_does_not_swallow_the_rest() {
    let text = format!("key,team,cost\nk,v,1\nl,v,\"2\n{}", "m,v,3\n".repeat(20_000));
    let error = read_as("t.csv", text.as_bytes(), &shape(Match::Exact)).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "line 3: the row that begins here does not end");
    let small = b"key,team,cost\nk,v,\"1\nl,w,2\n";
    let error = read_as("t.csv", small, &shape(Match::Exact)).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "line 2: the row that begins here does not end");
    let closed = b"key,team,cost\nk,v,\"1\nl,w,2\"\n\n";
    let table = read_as("t.csv", closed, &shape(Match::Exact)).unwrap().value;
    assert_eq!(found(&table, "k"), Some(vec!["v", "1\nl,w,2"]));
}

#[test]
fn a_table_may_have_no_rows() {
    let content = read_as("t.csv", b"key,team,cost\n", &shape(Match::Exact)).unwrap();
    assert_eq!(content.passed_over, ["there is no row in it"]);
    assert_eq!(found(&content.value, "k"), None);
}
