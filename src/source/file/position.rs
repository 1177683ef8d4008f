//! How far each file was read: what a file source resumes at.
//!
//! Everything here is pure. The position is written to the journal in the same transaction as the records that were read
//! up to it, so it is kept small: about a hundred bytes a file.

use std::hash::{DefaultHasher, Hash, Hasher};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// So much of a file's beginning, and of what was read last, tells it from others.
pub const PRINTED: usize = 1024;

/// Where a file source resumes. Reading the same one twice is harmless.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// The newest time of a record so far.
    #[serde(default)]
    pub newest: Option<DateTime<Utc>>,
    /// The files that were begun, in the order in which they were. Of some nothing was read: there was no whole line yet.
    #[serde(default)]
    pub files: Vec<Mark>,
}

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub struct Mark {
    /// Which file.
    pub id: FileId,
    /// How its content begins.
    pub head: Head,
    /// The CRC-32 of the last [`PRINTED`] bytes before the offset.
    pub tail: u32,
    /// The CRC-32 of everything before the offset.
    pub sum: u32,
    /// How many bytes of the content were read; that of a compressed file is what it unpacks to.
    pub offset: u64,
    /// How many line breaks are among them.
    pub lines: u64,
    /// How long the file was on disk when there was nothing more in it; 0 when that was never so.
    pub size: u64,
    /// Since when there is no such file any more.
    pub gone: Option<DateTime<Utc>>,
}

/// A [`Mark`] as the journal has it, without names, because there may be many: identity, head, and the rest as above.
type Written = ([u64; 3], (usize, u64), u32, u32, u64, u64, u64, Option<i64>);

/// Which file it is. Where a file system does not tell when a file was born, a later one may get the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId {
    /// The device.
    pub device: u64,
    /// The inode on it.
    pub inode: u64,
    /// When the file was made, in microseconds since 1970; 0 where that is not known.
    pub born: u64,
}

/// How a content begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// How many bytes of it are meant, [`PRINTED`] at the most.
    pub bytes: usize,
    /// Their fingerprint, of 53 bits so that it is exact in everybody's JSON.
    pub print: u64,
}

impl FileId {
    /// No file's: what was read is known, and where it was is another content now.
    pub const NONE: Self = Self { device: 0, inode: 0, born: 0 };
}

impl Head {
    /// The head of a content that begins with `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let bytes = &bytes[..bytes.len().min(PRINTED)];
        let digest = Sha256::digest(bytes);
        let number = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Self { bytes: bytes.len(), print: number >> 11 }
    }

    /// Whether a content that begins with `bytes` begins like this one.
    #[must_use]
    pub fn begins(&self, bytes: &[u8]) -> bool {
        bytes.get(..self.bytes).is_some_and(|bytes| Self::of(bytes) == *self)
    }
}

impl FilePosition {
    /// Two positions of the same digest stand at the same places in the same files.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.files.hash(&mut hasher);
        hasher.finish()
    }
}

impl From<Written> for Mark {
    fn from(([device, inode, born], (bytes, print), tail, sum, offset, lines, size, gone): Written) -> Self {
        let (id, head) = (FileId { device, inode, born }, Head { bytes, print });
        let gone = gone.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        Self { id, head, tail, sum, offset, lines, size, gone }
    }
}

impl From<Mark> for Written {
    fn from(mark: Mark) -> Self {
        let gone = mark.gone.map(|gone| gone.timestamp());
        let (FileId { device, inode, born }, Head { bytes, print }) = (mark.id, mark.head);
        ([device, inode, born], (bytes, print), mark.tail, mark.sum, mark.offset, mark.lines, mark.size, gone)
    }
}

/// What was read of a content, from its beginning.
#[derive(Clone, Debug, Default)]
pub struct Trail {
    /// How many bytes.
    pub offset: u64,
    /// How many line breaks are among them.
    pub lines: u64,
    /// Their CRC-32.
    pub sum: u32,
    /// The first [`PRINTED`] of them.
    head: Vec<u8>,
    /// The last [`PRINTED`] of them.
    tail: Vec<u8>,
}

impl Trail {
    /// The trail that `mark` was made of, when `head` and `tail`, found where they have to be, are what was read.
    #[must_use]
    pub fn resume(mark: &Mark, head: &[u8], tail: &[u8]) -> Option<Self> {
        if !mark.head.begins(head) || crc32fast::hash(tail) != mark.tail {
            return None;
        }
        let head = head[..mark.head.bytes].to_vec();
        Some(Self { offset: mark.offset, lines: mark.lines, sum: mark.sum, head, tail: tail.to_vec() })
    }

    /// Goes on past `bytes`, and past the line break at their end where there is one.
    pub fn pass(&mut self, bytes: &[u8]) {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.sum);
        hasher.update(bytes);
        self.sum = hasher.finalize();
        self.offset += bytes.len() as u64;
        let missing = PRINTED - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(missing)]);
        match bytes.len().checked_sub(PRINTED) {
            Some(from) => self.tail = bytes[from..].to_vec(),
            None => {
                self.tail.extend_from_slice(bytes);
                let surplus = self.tail.len().saturating_sub(PRINTED);
                self.tail.drain(..surplus);
            }
        }
    }

    /// What is to be kept of it for the file `id`.
    #[must_use]
    pub fn mark(&self, id: FileId, size: u64) -> Mark {
        let (head, tail) = (Head::of(&self.head), crc32fast::hash(&self.tail));
        Mark { id, head, tail, sum: self.sum, offset: self.offset, lines: self.lines, size, gone: None }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(inode: u64) -> FileId {
        FileId { device: 1, inode, born: 5 }
    }

    fn trail(text: &[u8]) -> Trail {
        let mut trail = Trail::default();
        trail.pass(text);
        trail
    }

    #[test]
    fn a_position_is_written_as_a_short_list_and_read_back() {
        let gone = DateTime::from_timestamp(1_789_000_000, 0);
        let mark = Mark { lines: 2, gone, ..trail(b"{}\n{}\n").mark(id(7), 6) };
        let position = FilePosition { newest: gone, files: vec![mark] };
        let text = serde_json::to_string(&position).unwrap();
        assert_eq!(
            text,
            "{\"newest\":\"2026-09-10T00:26:40Z\",\"files\":[[[1,7,5],[6,2075977986092269],2620977583,2620977583,6,2,6,1789000000]]}"
        );
        assert_eq!(serde_json::from_str::<FilePosition>(&text).unwrap(), position);
        assert_eq!(serde_json::from_str::<FilePosition>("{}").unwrap(), FilePosition::default());
    }

    #[test]
    fn a_head_is_known_however_much_follows_it() {
        let text = vec![b'x'; 3000];
        assert!(
            Head::of(b"abc").begins(b"abcd") && !Head::of(b"abc").begins(b"ab") && !Head::of(b"abc").begins(b"abd")
        );
        assert_eq!(Head::of(&text).bytes, PRINTED);
        assert!(Head::of(&text).begins(&text) && Head::of(&text).print < 1 << 53);
    }

    proptest! {
        /// Whatever the pieces, a trail is that of the whole, and goes on from its mark as if it had not been kept.
        #[test]
        fn a_trail_does_not_depend_on_the_pieces(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..1500), 1..6), kept in 0usize..6,
        ) {
            let whole = pieces.concat();
            let mut pieced = Trail::default();
            for (index, piece) in pieces.iter().enumerate() {
                if index == kept {
                    let mark = pieced.mark(id(1), 0);
                    let end = usize::try_from(mark.offset).unwrap();
                    let tail = &whole[end.saturating_sub(PRINTED)..end];
                    pieced = Trail::resume(&mark, &whole[..whole.len().min(PRINTED)], tail).unwrap();
                }
                pieced.pass(piece);
            }
            prop_assert_eq!(pieced.mark(id(1), 0), trail(&whole).mark(id(1), 0));
        }
    }
}
