//! Whether a file that was downloaded is all there. Pure.

/// What says that a file is only a part of what was ordered; `None` when nothing does. The sentence goes on from "a file".
///
/// `announced` is the size of the unpacked file, where the vendor tells it. A vendor may send more: a byte order mark.
#[must_use]
pub fn flaw(text: &[u8], separator: u8, announced: Option<u64>) -> Option<String> {
    let size = text.len() as u64;
    if let Some(announced) = announced.filter(|announced| size < *announced) {
        return Some(format!("of {size} bytes that was to have {announced}"));
    }
    // Even a log without entries has its line of names.
    if text.trim_ascii().is_empty() && announced != Some(0) {
        return Some("that is empty".to_owned());
    }
    if text.trim_ascii_start().starts_with(b"<") {
        return Some("that is a page for a browser".to_owned());
    }
    ends_in_quotes(text, separator).then(|| "that ends within a quoted cell".to_owned())
}

/// Where a reader of CSV is.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    /// Before the first byte of a cell, where a quote counts.
    CellStart,
    Plain,
    Quoted,
    /// Behind a quote in a quoted cell: its end, or the first of two that stand for one.
    Quote,
}

fn ends_in_quotes(text: &[u8], separator: u8) -> bool {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let place = text.iter().fold(Place::CellStart, |place, byte| match (place, *byte) {
        (Place::CellStart | Place::Quote, b'"') => Place::Quoted,
        (Place::Quoted, b'"') => Place::Quote,
        (Place::Quoted, _) => Place::Quoted,
        (_, b'\n' | b'\r') => Place::CellStart,
        (_, byte) if byte == separator => Place::CellStart,
        _ => Place::Plain,
    });
    place == Place::Quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_part_of_a_file_is_told_from_a_whole_one() {
        let whole = b"\xef\xbb\xbfid,args\r\n1,\"{\"\"a\"\":1,\n\"\"b\"\":2}\"\r\n2,5\" pipe\r\n";
        assert_eq!(flaw(whole, b',', None), None);
        assert_eq!(flaw(whole, b',', Some(whole.len() as u64 - 3)), None);
        assert_eq!(flaw(&whole[..19], b',', None), Some("that ends within a quoted cell".to_owned()));
        assert_eq!(flaw(b"id\r\n1\r\n", b',', Some(48_211)), Some("of 7 bytes that was to have 48211".to_owned()));
        assert_eq!(flaw(b" <html>busy</html>", b',', None), Some("that is a page for a browser".to_owned()));
        assert_eq!(flaw(b"id;args\n1;\"a\n", b';', None), Some("that ends within a quoted cell".to_owned()));
        assert_eq!(flaw(b"", b',', Some(0)), None);
        assert_eq!(flaw(b" \n", b',', None), Some("that is empty".to_owned()));
    }

    proptest! {
        /// A file cut within the quotes of a cell never counts as whole, and a whole one always does.
        #[test]
        fn a_cut_within_quotes_is_always_noticed(
            rows in proptest::collection::vec(("[a-z\",\n]{0,6}", "[a-z\",;\n]{1,6}"), 1..6),
            cut in 0.0..1.0f64,
        ) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            for (one, other) in &rows {
                writer.write_record([one, other]).unwrap();
            }
            let whole = writer.into_inner().unwrap();
            prop_assert_eq!(flaw(&whole, b',', None), None);
            let cut = (whole.len() as f64 * cut) as usize;
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(&whole[..cut]);
            let complete = reader.records().all(|row| row.is_ok_and(|row| row.len() == 2));
            // Between quotes there is an odd number of them.
            let within = whole[..cut].iter().filter(|byte| **byte == b'"').count() % 2 == 1;
            prop_assert_eq!(flaw(&whole[..cut], b',', None).is_some(), within || cut == 0);
            prop_assert!(within || complete || cut == 0 || flaw(&whole[..cut], b',', Some(whole.len() as u64)).is_some());
        }
    }
}
