//! How a batch is cut into requests.

use std::ops::Range;

use bytes::{BufMut, Bytes, BytesMut};

use super::{Format, Wrap};

/// What one request may hold.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub bytes: usize,
    pub records: usize,
}

/// A record ready to be sent, and its place in the batch.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub at: usize,
    pub json: Bytes,
}

/// How items become a body.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub format: Format,
    pub wrap: Wrap,
}

impl Shape {
    /// The body of a request.
    pub fn body(&self, items: &[Item]) -> Bytes {
        let mut body = BytesMut::with_capacity(self.size(items));
        body.put_slice(self.wrap.before.as_bytes());
        if self.format == Format::JsonArray {
            body.put_u8(b'[');
        }
        for (n, item) in items.iter().enumerate() {
            if n > 0 && self.format == Format::JsonArray {
                body.put_u8(b',');
            }
            body.put_slice(&item.json);
            if self.format == Format::Ndjson {
                body.put_u8(b'\n');
            }
        }
        if self.format == Format::JsonArray {
            body.put_u8(b']');
        }
        body.put_slice(self.wrap.after.as_bytes());
        body.freeze()
    }

    fn size(&self, items: &[Item]) -> usize {
        self.around() + items.iter().map(|item| item.json.len() + 1).sum::<usize>()
    }

    /// What a body has beside its records and what divides them; an array has one comma less than we count.
    fn around(&self) -> usize {
        self.wrap.before.len() + self.wrap.after.len() + 2
    }

    /// Stretches of `items`, each within the limits. A single item larger than they allow is a stretch of its own.
    pub fn cut(&self, items: &[Item], limits: Limits) -> Vec<Range<usize>> {
        let mut pieces = Vec::new();
        let mut start = 0;
        let mut size = self.around();
        for (n, item) in items.iter().enumerate() {
            let more = item.json.len() + 1;
            if n > start && (size + more > limits.bytes || n - start >= limits.records) {
                pieces.push(start..n);
                start = n;
                size = self.around();
            }
            size += more;
        }
        if start < items.len() {
            pieces.push(start..items.len());
        }
        pieces
    }

    /// Whether a request of this one record is larger than any may be.
    pub fn is_oversized(&self, json: &Bytes, limits: Limits) -> bool {
        self.around() + json.len() + 1 > limits.bytes
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn items(sizes: &[usize]) -> Vec<Item> {
        let item = |(at, size): (usize, &usize)| Item { at, json: Bytes::from(format!("\"{}\"", "x".repeat(*size))) };
        sizes.iter().enumerate().map(item).collect()
    }

    proptest! {
        #[test]
        fn pieces_hold_every_item_once_in_order_and_within_the_limits(
            sizes in prop::collection::vec(0_usize..50, 0..60),
            bytes in 60_usize..200,
            records in 1_usize..10,
            format in prop_oneof![Just(Format::Ndjson), Just(Format::JsonArray)],
        ) {
            let shape = Shape { format, wrap: Wrap { before: "{\"a\":".to_owned(), after: "}".to_owned() } };
            let items = items(&sizes);
            let limits = Limits { bytes, records };
            let pieces = shape.cut(&items, limits);
            let flat: Vec<usize> = pieces.iter().cloned().flatten().collect();
            prop_assert_eq!(flat, (0..items.len()).collect::<Vec<_>>());
            for piece in pieces {
                prop_assert!(piece.len() <= records);
                let body = shape.body(&items[piece]);
                prop_assert!(body.len() <= bytes, "{} > {}", body.len(), bytes);
            }
        }
    }

    #[test]
    fn bodies_are_what_their_format_says() {
        let body = |format, wrap: Wrap, count| {
            let shape = Shape { format, wrap };
            String::from_utf8(shape.body(&items(&[1, 2, 3][..count])).to_vec()).unwrap()
        };
        assert_eq!(body(Format::Ndjson, Wrap::default(), 2), "\"x\"\n\"xx\"\n");
        assert_eq!(body(Format::JsonArray, Wrap::default(), 2), "[\"x\",\"xx\"]");
        assert_eq!(body(Format::Json, Wrap::default(), 1), "\"x\"");
        let wrap = Wrap { before: "{\"events\":".to_owned(), after: "}".to_owned() };
        assert_eq!(body(Format::JsonArray, wrap, 1), "{\"events\":[\"x\"]}");
    }
}
