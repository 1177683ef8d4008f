//! From records to the bytes of an object, in parts that are sent while the next one is made.

use std::io::{self, Write};

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::Compression;
use crate::ocsf::Class;
use crate::{Record, parquet};

/// What is gathered before it is sent. All parts but the last have this size: at least 5 MiB for S3, the same for R2.
pub(super) const PART: usize = 8 << 20;

/// The records of one object, in the form they will have.
pub(super) enum Rows {
    Lines(Vec<Bytes>, Compression),
    Table(Option<&'static Class>, Vec<Record>),
}

/// A stretch of an object.
pub(super) enum Piece {
    /// More follows.
    Part(Bytes),
    /// The end of it. An object that comes without was not packed to its end.
    Last(Bytes),
}

/// Where an object is written to.
pub(super) struct Parts {
    part: Vec<u8>,
    to: mpsc::Sender<Piece>,
}

impl Rows {
    /// How much JSON it holds, in bytes.
    pub(super) fn bytes(&self) -> u64 {
        let bytes: usize = match self {
            Self::Lines(lines, _) => lines.iter().map(Bytes::len).sum(),
            Self::Table(_, records) => records.iter().map(|record| record.json.len()).sum(),
        };
        bytes as u64
    }

    /// How many records it holds.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Lines(lines, _) => lines.len(),
            Self::Table(_, records) => records.len(),
        }
    }

    /// SHA-256 of its records as lines of JSON, in hexadecimal: the same however they are packed.
    pub(super) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut line = |json: &Bytes| {
            hash.update(json);
            hash.update(b"\n");
        };
        match self {
            Self::Lines(lines, _) => lines.iter().for_each(&mut line),
            Self::Table(_, records) => records.iter().for_each(|record| line(&record.json)),
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn pack(self, to: mpsc::Sender<Piece>) -> io::Result<()> {
        self.write(Parts { part: Vec::new(), to })?.end()
    }

    /// The same bytes for the same records, each time: a batch that comes again must not change its object.
    fn write<W: Write + Send>(self, to: W) -> io::Result<W> {
        match self {
            Self::Lines(lines, Compression::None) => written(to, &lines),
            Self::Lines(lines, Compression::Gzip) => {
                let level = flate2::Compression::default();
                written(flate2::GzBuilder::new().mtime(0).write(to, level), &lines)?.finish()
            }
            Self::Lines(lines, Compression::Zstd) => written(zstd::Encoder::new(to, 0)?, &lines)?.finish(),
            Self::Table(class, records) => parquet::write(to, class, records),
        }
    }
}

fn written<W: Write>(mut to: W, lines: &[Bytes]) -> io::Result<W> {
    for line in lines {
        to.write_all(line)?;
        to.write_all(b"\n")?;
    }
    Ok(to)
}

impl Parts {
    fn end(self) -> io::Result<()> {
        send(&self.to, Piece::Last(self.part.into()))
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One byte at least follows a part, so that the last one is never empty.
        if self.part.len() == PART {
            send(&self.to, Piece::Part(std::mem::take(&mut self.part).into()))?;
        }
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn send(to: &mpsc::Sender<Piece>, piece: Piece) -> io::Result<()> {
    to.blocking_send(piece).map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload was given up"))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn packed(rows: Rows) -> Vec<Bytes> {
        let (to, mut pieces) = mpsc::channel(100);
        rows.pack(to).unwrap();
        let mut parts = Vec::new();
        loop {
            match pieces.blocking_recv().expect("it has an end") {
                Piece::Part(part) => parts.push(part),
                Piece::Last(part) => {
                    parts.push(part);
                    return parts;
                }
            }
        }
    }

    #[test]
    fn packs_the_same_lines_into_the_same_bytes() {
        let lines: Vec<Bytes> = (0..1000).map(|n| Bytes::from(format!(r#"{{"n":{n}}}"#))).collect();
        let text: String = (0..1000).map(|n| format!("{{\"n\":{n}}}\n")).collect();
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let rows = || Rows::Lines(lines.clone(), compression);
            let parts = packed(rows());
            assert_eq!(parts, packed(rows()));
            let packed = parts.concat();
            let unpacked = match compression {
                Compression::None => packed,
                Compression::Gzip => {
                    let mut unpacked = Vec::new();
                    flate2::read::GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
                    unpacked
                }
                Compression::Zstd => zstd::decode_all(&*packed).unwrap(),
            };
            assert_eq!(unpacked, text.as_bytes());
        }
    }

    #[test]
    fn parts_are_of_one_size_and_the_last_is_not_empty() {
        for (lines, expected) in [(2, vec![PART, PART]), (1, vec![PART]), (3, vec![PART, PART, PART])] {
            // A line of this length and its line feed fill a part.
            let line = Bytes::from(vec![b'x'; PART - 1]);
            let parts = packed(Rows::Lines(vec![line; lines], Compression::None));
            assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), expected);
        }
        let parts = packed(Rows::Lines(vec![Bytes::from(vec![b'x'; PART])], Compression::None));
        assert_eq!(parts.iter().map(Bytes::len).collect::<Vec<_>>(), [PART, 1]);
    }

    #[test]
    fn an_upload_that_is_given_up_ends_the_packing() {
        let (to, pieces) = mpsc::channel(1);
        drop(pieces);
        let error = Rows::Lines(vec![Bytes::from("{}")], Compression::Gzip).pack(to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn the_digest_is_that_of_the_lines() {
        let lines = Rows::Lines(vec![Bytes::from("1"), Bytes::from("2")], Compression::Zstd);
        // printf '1\n2\n' | sha256sum
        assert_eq!(lines.digest(), "a6e2b7a040683432de03a18fd8a1939a2fdf82585b364bfc874bdd4095c4cae1");
    }
}
