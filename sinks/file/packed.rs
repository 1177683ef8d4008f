//! Compressing a rotated file: at every moment there is one whole copy under a name that is found, or two of the same.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::folder::sync_folder_of;
use super::step::step;

const CHUNK: usize = 128 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    pub const ALL: [Self; 2] = [Self::Gzip, Self::Zstd];

    pub fn suffix(self) -> &'static str {
        match self {
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    pub fn reader(self, file: File) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(CHUNK, file))),
            Self::Zstd => Box::new(zstd::Decoder::new(file)?),
        })
    }

    fn write(self, mut from: File, to: &File) -> io::Result<()> {
        match self {
            Self::Gzip => {
                let to = io::BufWriter::with_capacity(CHUNK, to);
                let mut to = flate2::write::GzEncoder::new(to, flate2::Compression::default());
                io::copy(&mut from, &mut to)?;
                to.finish()?.flush()
            }
            Self::Zstd => {
                let mut to = zstd::Encoder::new(to, 0)?;
                // So that a copy that was damaged later is noticed by whoever unpacks it, as with gzip.
                to.include_checksum(true)?;
                io::copy(&mut from, &mut to)?;
                to.finish().map(drop)
            }
        }
    }
}

/// Puts a compressed copy of `plain` in its place, by way of `unfinished`.
pub(super) fn pack(packing: Packing, plain: &Path, unfinished: &Path, packed: &Path) -> io::Result<()> {
    let written = write(packing, plain, unfinished);
    if written.is_err() {
        // It may be what fills the disk.
        let _ = fs::remove_file(unfinished);
    }
    written?;
    step();
    fs::rename(unfinished, packed)?;
    step();
    sync_folder_of(packed)?;
    step();
    fs::remove_file(plain)?;
    step();
    sync_folder_of(packed)
}

fn write(packing: Packing, plain: &Path, unfinished: &Path) -> io::Result<()> {
    let from = File::open(plain)?;
    let to = File::options().write(true).create(true).truncate(true).open(unfinished)?;
    // Before the first byte: nobody who may not read the one may read the other.
    to.set_permissions(from.metadata()?.permissions())?;
    step();
    packing.write(from, &to)?;
    step();
    to.sync_all()
}

/// Whether `packed` holds what `plain` holds, to the byte.
pub(super) fn is_same(packing: Packing, plain: &Path, packed: &Path) -> bool {
    let compare = || -> io::Result<bool> {
        let mut plain = io::BufReader::with_capacity(CHUNK, File::open(plain)?);
        let mut packed = io::BufReader::with_capacity(CHUNK, packing.reader(File::open(packed)?)?);
        let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
        loop {
            let (read, others) = (fill(&mut plain, &mut one)?, fill(&mut packed, &mut other)?);
            if one[..read] != other[..others] {
                return Ok(false);
            }
            if read == 0 {
                return Ok(true);
            }
        }
    };
    compare().unwrap_or(false)
}

/// Reads until the buffer is full or nothing is left.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The last `want` bytes of the first `limit` of what a reader gives, and whether that is all of them.
pub(super) fn last_bytes(from: impl Read, limit: u64, want: usize) -> io::Result<(Vec<u8>, bool)> {
    let mut from = from.take(limit);
    let mut text = Vec::new();
    let mut is_all = true;
    loop {
        let held = text.len();
        text.resize(held + CHUNK, 0);
        let read = fill(&mut from, &mut text[held..])?;
        text.truncate(held + read);
        let is_end = read < CHUNK;
        // Not at every turn: moving the rest to the front costs as much as reading it.
        if text.len() > want && (is_end || text.len() > 2 * want + CHUNK) {
            text.drain(..text.len() - want);
            is_all = false;
        }
        if is_end {
            return Ok((text, is_all));
        }
    }
}
