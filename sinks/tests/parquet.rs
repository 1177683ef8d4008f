//! What we write as Parquet, read back by two readers that have not seen our code.

use std::path::PathBuf;
use std::process::Command;

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use arrow_array::{Array, StringArray, StructArray};
use auditline_sinks::{Record, contract, ocsf, parquet};
use bytes::Bytes;

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

fn text(column: &dyn Array, row: usize) -> &str {
    column.as_any().downcast_ref::<StringArray>().unwrap().value(row)
}

// JSON lets a name stand twice in an object, and most readers keep one of the two in silence.
#[test]
fn of_names_that_stand_twice_nothing_is_lost() {
    let event = r#"{"class_uid":6003,"message":"a","message":"b","actor":{"user":{"uid":"u","uid":"v"}},"actor":{"app_name":"x"},"unmapped":{"k":1,"k":2},"new":1,"new":2}"#;
    let records: Vec<Record> = contract::batch_of("p", 1, [event]).records.into();
    let file = parquet::write(Vec::new(), ocsf::class_of(event.as_bytes()), records).unwrap();
    let rows: Vec<_> = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file))
        .unwrap()
        .build()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let [rows] = rows.as_slice() else { panic!("{rows:?}") };
    let column = |name: &str| rows.column_by_name(name).unwrap().as_ref();
    let member = |column: &dyn Array, name: &str| {
        let column = column.as_any().downcast_ref::<StructArray>().unwrap();
        column.column_by_name(name).unwrap().clone()
    };
    assert_eq!(text(column("message"), 0), "a");
    assert_eq!(text(&member(&member(column("actor"), "user"), "uid"), 0), "u");
    assert_eq!(text(column("unmapped"), 0), r#"{"k":1,"k":2}"#);
    assert_eq!(
        text(column("extra"), 0),
        r#"{"message":"b","actor":{"user":{"uid":"v"}},"actor":{"app_name":"x"},"new":1,"new":2}"#
    );

    // Two classes are none: it is a row as it is.
    let event = r#"{"class_uid":6003,"class_uid":3002,"message":"a"}"#;
    assert!(ocsf::class_of(event.as_bytes()).is_none());
}
