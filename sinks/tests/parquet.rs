//! What we write as Parquet, read back by two readers that have not seen our code.

use std::path::PathBuf;
use std::process::Command;

use auditline_sinks::{Record, contract, ocsf, parquet};

const READERS: &str = "AUDITLINE_TEST_PARQUET";

/// Writes a file of each class, as the sinks do, and has it compared with the records.
fn expect_to_be_read_back(compare: &str, bodies: Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let records: Vec<Record> = contract::batch_of("p", 1, bodies).records.into();
    let lines: String =
        records.iter().map(|record| String::from_utf8_lossy(&record.json).into_owned() + "\n").collect();
    let originals = folder.path().join("records.ndjson");
    std::fs::write(&originals, lines).unwrap();
    let mut classes: Vec<(Option<&ocsf::Class>, Vec<Record>)> = Vec::new();
    for record in records {
        let class = ocsf::class_of(&record.json);
        let name = parquet::table_name(class);
        match classes.iter_mut().find(|(class, _)| parquet::table_name(*class) == name) {
            Some((_, records)) => records.push(record),
            None => classes.push((class, vec![record])),
        }
    }
    let files: Vec<PathBuf> = classes
        .into_iter()
        .map(|(class, records)| {
            let path = folder.path().join(format!("{}.parquet", parquet::table_name(class)));
            std::fs::write(&path, parquet::write(Vec::new(), class, records).unwrap()).unwrap();
            path
        })
        .collect();
    let output = Command::new(compare).arg(&originals).args(&files).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn whatever_a_record_holds_comes_back() {
    let Some(compare) = contract::server("whatever_a_record_holds_comes_back", "parquet readers", READERS) else {
        return;
    };
    let event = |uid: usize, rest: &str| {
        format!(r#"{{"class_uid":6003,"metadata":{{"uid":"{uid}","version":"1.8.0"}}{rest}}}"#)
    };
    let rests = [
        "",
        r#","time":1773480413589,"type_uid":600301,"severity_id":1,"is_alert":false"#,
        r#","time":"yesterday","severity_id":9223372036854775807,"count":9223372036854775808"#,
        r#","actor":{"user":{"uid":"u","groups":[{"name":"g"}],"has_mfa":true,"age":3}},"unmapped":{"a":{"b":[1.50,null]}}"#,
        r#","actor":"someone","api":null,"unmapped":"plain","message":"\"quoted\"""#,
        r#","resources":[{"uid":"a"},{"uid":"b","odd":{}},"c",null,{}],"metadata2":[]"#,
        r#","resources":[],"observables":[{"name":"n","type_id":1,"value":"v"}],"src_endpoint":{}"#,
        r#","src_endpoint":{"ip":"192.0.2.1","location":{"lat":52.52,"long":13.405,"coordinates":[13.405,52.52]}}"#,
        r#","src_endpoint":{"location":{"lat":0.12345678901234567,"long":1e400,"city":["x"]}}"#,
        r#","message":"\ud83e","status":"\u0000\ud83e\udd8a ü \u2028","status_detail":"{\"a\":1}","raw_data":"[1]""#,
        r#","cloud":{"account":{"uid":"c"},"provider":"P"},"osint":[{"value":"x"}],"malware":[]"#,
        r#","new":{"deep":[[[{"":null}]]]},"api":{"operation":"o","response":{"code":200,"data":{"x":[1]}}}"#,
        r#","metadata_":1,"enrichments":[{"data":{"city":"x"},"name":"n","value":"v"},{"data":null}]"#,
    ];
    let mut bodies: Vec<String> = rests.iter().enumerate().map(|(uid, rest)| event(uid, rest)).collect();
    bodies.push(r#"{"class_uid":3002,"metadata":{"uid":"a"},"user":{"name":"n"}}"#.to_owned());
    bodies.push(r#"{"class_uid":4001,"metadata":{"uid":"b"},"x":1e400}"#.to_owned());
    bodies.push(r#"{"event":{"kind":"event"},"@timestamp":"2026-03-14T00:00:00Z"}"#.to_owned());
    // Rows are made into columns a thousand at a time.
    bodies.extend((1000..4500).map(|uid| event(uid, &format!(r#","count":{uid},"x":{uid}"#))));
    expect_to_be_read_back(&compare, bodies);
}
