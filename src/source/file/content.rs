//! What a file holds, unpacked: plain, gzip or zstd, told by its first bytes and not by its name.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use flate2::bufread::MultiGzDecoder;
use tokio_util::sync::CancellationToken;

use super::position::{PRINTED, Trail};

/// So much is read at a time.
pub const PIECE: usize = 64 << 10;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Not at all.
    Plain,
    /// RFC 1952, of any number of members.
    Gzip,
    /// RFC 8878, of any number of frames.
    Zstd,
}

/// A file's content, read from its beginning or, of a plain file, from anywhere.
pub struct Content {
    form: Form,
    reader: Box<dyn Read + Send>,
    taken: Arc<Taken>,
}

/// What a read came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes.
    Bytes(usize),
    /// There are no more.
    End,
    /// A packed content stops in the middle: it is still being written, or was never written whole.
    CutOff,
    /// A packed content cannot be unpacked any further, and why.
    Damaged(String),
}

impl Form {
    /// How a file is packed that begins with `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        match bytes {
            [0x1f, 0x8b, 0x08, ..] => Self::Gzip,
            // The second form is a frame to be skipped: some tools put their own things in front.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ => Self::Plain,
        }
    }

    /// How that file is packed.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Self::of(&read_exactly(file, 0, 4)?))
    }

    /// Whether it is packed at all.
    #[must_use]
    pub fn is_packed(self) -> bool {
        self != Self::Plain
    }
}

impl Content {
    /// The content from its beginning.
    ///
    /// # Errors
    /// When the memory to unpack it cannot be had.
    pub fn begin(file: &Arc<File>, form: Form) -> io::Result<Self> {
        let taken = Arc::new(Taken::default());
        let raw = Raw { file: Arc::clone(file), taken: Arc::clone(&taken) };
        let reader: Box<dyn Read + Send> = match form {
            Form::Plain => Box::new(raw),
            Form::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, raw))),
            Form::Zstd => Box::new(zstd::stream::read::Decoder::new(raw)?),
        };
        Ok(Self { form, reader, taken })
    }

    /// The content of a plain file from `offset` on.
    #[must_use]
    pub fn plain_from(file: &Arc<File>, offset: u64) -> Self {
        let taken = Arc::new(Taken { bytes: AtomicU64::new(offset), ..Taken::default() });
        let raw = Raw { file: Arc::clone(file), taken: Arc::clone(&taken) };
        Self { form: Form::Plain, reader: Box::new(raw), taken }
    }

    /// How it is packed.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// Up to which byte the file itself was read.
    #[must_use]
    pub fn disk_offset(&self) -> u64 {
        self.taken.bytes.load(Ordering::Relaxed)
    }

    /// Reads on. After anything but bytes this content is of no more use.
    ///
    /// # Errors
    /// When the file cannot be read; what is wrong with its content is no error.
    pub fn read(&mut self, room: &mut [u8]) -> io::Result<Piece> {
        loop {
            match self.reader.read(room) {
                Ok(0) => return Ok(Piece::End),
                Ok(length) => return Ok(Piece::Bytes(length)),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if !self.form.is_packed() || self.taken.failed.load(Ordering::Relaxed) => return Err(error),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Piece::CutOff),
                Err(error) => return Ok(Piece::Damaged(error.to_string())),
            }
        }
    }
}

/// The first [`PRINTED`] bytes of a content, or as many as there are.
///
/// # Errors
/// When the file cannot be read.
pub fn head(file: &Arc<File>, form: Form) -> io::Result<Vec<u8>> {
    let mut content = Content::begin(file, form)?;
    let mut head = vec![0; PRINTED];
    let mut length = 0;
    while length < PRINTED {
        match content.read(&mut head[length..])? {
            Piece::Bytes(more) => length += more,
            Piece::End | Piece::CutOff | Piece::Damaged(_) => break,
        }
    }
    head.truncate(length);
    Ok(head)
}

/// The last [`PRINTED`] bytes of a plain file before `offset`, or as many as there are.
///
/// # Errors
/// When the file cannot be read.
pub fn tail(file: &File, offset: u64) -> io::Result<Vec<u8>> {
    let from = offset.saturating_sub(PRINTED as u64);
    let length = usize::try_from(offset - from).unwrap_or(PRINTED);
    read_exactly(file, from, length)
}

/// Reads a content up to `offset`, without its lines being counted; `None` when it does not go so far.
///
/// # Errors
/// When the file cannot be read, or when stopped: this may take long.
pub fn replay(
    file: &Arc<File>,
    form: Form,
    offset: u64,
    stop: &CancellationToken,
) -> io::Result<Option<(Content, Trail)>> {
    let mut content = Content::begin(file, form)?;
    let mut trail = Trail::default();
    let mut room = vec![0; PIECE];
    while trail.offset < offset {
        if stop.is_cancelled() {
            return Err(io::Error::other("stopped"));
        }
        let most = usize::try_from(offset - trail.offset).unwrap_or(PIECE).min(PIECE);
        match content.read(&mut room[..most])? {
            Piece::Bytes(length) => trail.pass(&room[..length]),
            Piece::End | Piece::CutOff | Piece::Damaged(_) => return Ok(None),
        }
    }
    Ok(Some((content, trail)))
}

/// The bytes that stand at `offset`: fewer than `length` only at the file's end.
fn read_exactly(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(more) => filled += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes)
}

/// How far a file was read, and whether it was the file that failed and not what is in it.
#[derive(Default)]
struct Taken {
    bytes: AtomicU64,
    failed: AtomicBool,
}

/// The file as it is on disk. It keeps its place itself, so that several may read one file.
struct Raw {
    file: Arc<File>,
    taken: Arc<Taken>,
}

impl Read for Raw {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let at = self.taken.bytes.load(Ordering::Relaxed);
        match self.file.read_at(room, at) {
            Ok(length) => {
                self.taken.bytes.store(at + length as u64, Ordering::Relaxed);
                Ok(length)
            }
            Err(error) => {
                let again = error.kind() == io::ErrorKind::Interrupted;
                self.taken.failed.store(!again, Ordering::Relaxed);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn file(bytes: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        Arc::new(file)
    }

    /// The whole content, and what it ended with.
    fn unpack(bytes: &[u8]) -> (Vec<u8>, Piece) {
        let file = file(bytes);
        let mut content = Content::begin(&file, Form::of_file(&file).unwrap()).unwrap();
        let (mut all, mut room) = (Vec::new(), vec![0; 100]);
        loop {
            match content.read(&mut room).unwrap() {
                Piece::Bytes(length) => all.extend_from_slice(&room[..length]),
                end => return (all, end),
            }
        }
    }

    #[test]
    fn a_content_is_the_same_however_it_is_packed() {
        let (one, two) = (b"one\n".repeat(500), b"two\n".repeat(500));
        let zstd = |text: &[u8]| zstd::encode_all(text, 3).unwrap();
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 7, 7][..], &zstd(&one), &zstd(&two)].concat();
        for packed in [[&one[..], &two].concat(), [gzip(&one), gzip(&two)].concat(), skipped] {
            assert_eq!(unpack(&packed), ([&one[..], &two].concat(), Piece::End));
        }
        assert_eq!(unpack(b""), (Vec::new(), Piece::End));
    }

    #[test]
    fn what_is_cut_off_gives_what_it_has() {
        let text: Vec<u8> = (0..20_000_u32)
            .flat_map(|number| format!("{}\n", number.wrapping_mul(2_654_435_761)).into_bytes())
            .collect();
        for packed in [gzip(&text), zstd::encode_all(&text[..], 3).unwrap()] {
            for length in [packed.len() / 2, packed.len() - 1, 5] {
                let (got, end) = unpack(&packed[..length]);
                assert!(text.starts_with(&got) && end == Piece::CutOff, "{} bytes, {end:?}", got.len());
            }
            let got = unpack(&packed[..packed.len() - 1]).0;
            assert!(got.len() > text.len() / 2, "{} of {}", got.len(), text.len());
        }
    }

    #[test]
    fn what_is_damaged_says_so() {
        let text: Vec<u8> =
            (0..200_000_u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
        let (mut gzip, mut zstd) = (gzip(&text), zstd::encode_all(&text[..], 3).unwrap());
        let middle = gzip.len() / 2;
        gzip[middle..middle + 100].fill(0xff);
        zstd.extend_from_slice(b"no frame");
        for (packed, at_least) in [(gzip, 0), (zstd, text.len())] {
            let (got, end) = unpack(&packed);
            assert!(matches!(&end, Piece::Damaged(_)) && got.len() >= at_least, "{} bytes, {end:?}", got.len());
        }
    }

    #[test]
    fn a_content_is_read_again_up_to_an_offset() {
        let text = b"0123456789".repeat(20_000);
        let stop = CancellationToken::new();
        for packed in [text.clone(), gzip(&text), zstd::encode_all(&text[..], 3).unwrap()] {
            let file = file(&packed);
            let form = Form::of_file(&file).unwrap();
            assert_eq!(head(&file, form).unwrap(), text[..PRINTED]);
            let (mut content, trail) = replay(&file, form, 150_001, &stop).unwrap().unwrap();
            let mut expected = Trail::default();
            expected.pass(&text[..150_001]);
            assert_eq!((trail.offset, trail.sum), (150_001, expected.sum));
            let mut next = [0; 3];
            assert_eq!(content.read(&mut next).unwrap(), Piece::Bytes(3));
            assert_eq!(&next, b"123");
            assert!(replay(&file, form, 200_001, &stop).unwrap().is_none());
        }
        let file = file(&text);
        assert_eq!(tail(&file, 2_003).unwrap(), text[2_003 - PRINTED..2_003]);
        assert_eq!(tail(&file, 3).unwrap(), b"012");
        stop.cancel();
        assert!(replay(&file, Form::Plain, 10, &stop).is_err());
    }
}
