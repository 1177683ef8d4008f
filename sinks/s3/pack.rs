//! From records to the bytes of an object, in parts that are sent while the next one is made.

use std::io::{self, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Crc;
use futures::executor::block_on;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::Compression;
use crate::ocsf::Class;
use crate::{Record, parquet};

/// What is gathered before it is sent. All parts but the last have this size: at least 5 MiB for S3, the same for R2.
pub(super) const PART: usize = 5 << 20;
/// How many parts of an object are in memory at the same time: one is sent, and the next one made.
const PARTS: usize = 2;

/// The records of one object, in the form they will have.
pub(super) enum Rows {
    Lines(Vec<Bytes>, Compression),
    Table(Option<&'static Class>, Vec<Record>),
}

/// A stretch of an object.
pub(super) enum Piece {
    /// More follows.
    Part(Chunk),
    /// The end of it. An object that comes without was not packed to its end.
    Last(Chunk),
}

/// Bytes of an object, to be dropped when the server has them.
pub(super) struct Chunk {
    pub bytes: Bytes,
    /// In the form S3 has it: big-endian, in Base64.
    pub crc32: String,
    /// Returned with the memory: what bounds it.
    _room: OwnedSemaphorePermit,
}

/// Where an object is written to.
struct Parts {
    part: Vec<u8>,
    /// That of `part`.
    room: Option<OwnedSemaphorePermit>,
    rooms: Arc<Semaphore>,
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
        self.write(Parts::new(to))?.end()
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
    fn new(to: mpsc::Sender<Piece>) -> Self {
        Self { part: Vec::new(), room: None, rooms: Arc::new(Semaphore::new(PARTS)), to }
    }

    fn end(mut self) -> io::Result<()> {
        let last = self.chunk();
        self.send(Piece::Last(last))
    }

    fn chunk(&mut self) -> Chunk {
        let room = self.room.take().unwrap_or_else(|| room(&self.rooms));
        Chunk::new(std::mem::take(&mut self.part), room)
    }

    fn send(&self, piece: Piece) -> io::Result<()> {
        let given_up = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the upload was given up");
        self.to.blocking_send(piece).map_err(given_up)
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // One byte at least follows a part, so that the last one is never empty.
        if self.part.len() == PART {
            let part = self.chunk();
            self.send(Piece::Part(part))?;
        }
        if self.room.is_none() {
            self.room = Some(room(&self.rooms));
        }
        let taken = bytes.len().min(PART - self.part.len());
        self.part.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Chunk {
    fn new(bytes: Vec<u8>, room: OwnedSemaphorePermit) -> Self {
        let mut crc = Crc::new();
        crc.update(&bytes);
        Self { bytes: bytes.into(), crc32: BASE64_STANDARD.encode(crc.sum().to_be_bytes()), _room: room }
    }
}

fn room(rooms: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    block_on(rooms.clone().acquire_owned()).expect("it is never closed")
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn packed(rows: Rows) -> Vec<Bytes> {
        let (to, mut pieces) = mpsc::channel(1);
        let packing = std::thread::spawn(move || rows.pack(to));
        let mut parts = Vec::new();
        loop {
            match pieces.blocking_recv().expect("it has an end") {
                Piece::Part(part) => parts.push(part.bytes),
                Piece::Last(part) => {
                    parts.push(part.bytes);
                    packing.join().unwrap().unwrap();
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
    fn the_checksum_is_the_one_s3_computes() {
        let (to, mut pieces) = mpsc::channel(1);
        Rows::Lines(vec![Bytes::from("123456789")], Compression::None).pack(to).unwrap();
        let Some(Piece::Last(last)) = pieces.blocking_recv() else { panic!("one piece") };
        // CRC-32 of "123456789\n", big-endian, in Base64.
        assert_eq!(last.crc32, BASE64_STANDARD.encode(0xe011_7757_u32.to_be_bytes()));
    }

    #[test]
    fn the_digest_is_that_of_the_lines() {
        let lines = Rows::Lines(vec![Bytes::from("1"), Bytes::from("2")], Compression::Zstd);
        // printf '1\n2\n' | sha256sum
        assert_eq!(lines.digest(), "a6e2b7a040683432de03a18fd8a1939a2fdf82585b364bfc874bdd4095c4cae1");
    }
}
