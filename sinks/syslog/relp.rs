//! RELP, the reliable event logging protocol: syslog with an answer to each message.
//!
//! By its specification (`relp.html` in librelp, 2008), and where that and librelp differ, as librelp speaks it: rsyslog
//! offers version 0, which the specification calls experimental, and so do we. Commands are numbered from 1; answers
//! carry the number of what they answer. Hints have the number 0, and `serverclose` is the only one.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::Semaphore;

use super::connection::Stream;
use super::patience::Patience;

/// Messages on their way without an answer: librelp's own window.
const WINDOW: usize = 128;

/// After this number comes 1.
const LAST_NUMBER: u32 = 999_999_999;

/// The longest answer that is listened to. librelp's to `open` is a hundred bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// How long the answer to `close` is waited for.
const FAREWELL: Duration = Duration::from_secs(1);

/// Written at once: below it, many small messages share a write.
const WRITE: usize = 64 * 1024;

/// A session that the receiver has agreed to. Nothing is outstanding between two batches.
pub(super) struct Relp {
    stream: Box<dyn Stream>,
    /// What was read and not yet looked at.
    unread: Vec<u8>,
    next: u32,
}

/// What the receiver has said of each message so far, which outlives a session that breaks. They come in any order.
#[derive(Debug)]
pub(super) struct Answers {
    // For a look, and never held over an await.
    told: Mutex<Vec<Option<Answer>>>,
}

/// What the receiver says of a message: it is taken, or it is not, in its words.
pub(super) type Answer = Result<(), String>;

impl Answers {
    /// To so many messages.
    pub fn expected(count: usize) -> Self {
        Self { told: Mutex::new(vec![None; count]) }
    }

    /// Those to the first messages, up to one that has none.
    pub fn in_a_row(self) -> Vec<Answer> {
        let told = self.told.into_inner().unwrap_or_else(PoisonError::into_inner);
        told.into_iter().take_while(Option::is_some).flatten().collect()
    }

    /// `false` if it was not waited for.
    fn put(&self, at: usize, answer: Answer) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let place = told.get_mut(at).filter(|place| place.is_none());
        place.map(|place| *place = Some(answer)).is_some()
    }
}

/// Why a session does not go on.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the connection broke")]
    Broken(#[from] io::Error),
    /// An answer that is not RELP.
    #[error("{0}")]
    Garbage(String),
    /// It will not open a session, in its words.
    #[error("the receiver answered `{0}`")]
    Unwilling(String),
    /// It said that it closes.
    #[error("the receiver is closing the session")]
    Closing,
}

#[derive(Debug, PartialEq, Eq)]
struct Frame {
    number: u32,
    command: String,
    data: Vec<u8>,
}

impl Relp {
    /// Agrees with the receiver that syslog messages will be sent.
    pub async fn open(stream: Box<dyn Stream>) -> Result<Self, Failure> {
        let mut session = Self { stream, unread: Vec::new(), next: 1 };
        let offers =
            concat!("relp_version=0\nrelp_software=auditline,", env!("CARGO_PKG_VERSION"), "\ncommands=syslog\n");
        let answer = session.ask("open", offers.as_bytes()).await?;
        let (first, offered) = answer.split_once('\n').unwrap_or((&answer, ""));
        if !first.starts_with("200") {
            return Err(Failure::Unwilling(first.to_owned()));
        }
        let offers = |name: &str| offered.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        if offers("relp_version").is_none()
            || !offers("commands").is_some_and(|it| it.split(',').any(|it| it == "syslog"))
        {
            return Err(Failure::Unwilling(format!("{first}, without `commands=syslog`")));
        }
        Ok(session)
    }

    /// Returns when each message has its answer.
    pub async fn send(&mut self, messages: &[Vec<u8>], answers: &Answers, patience: &Patience) -> Result<(), Failure> {
        let first = self.next;
        let number = |at: usize| number_after(first, at);
        let Self { stream, unread, .. } = self;
        let (mut reading, mut writing) = tokio::io::split(stream);
        let room = Semaphore::new(WINDOW);
        let asked = AtomicUsize::new(0);
        let write = async {
            let mut frames = Vec::new();
            for (at, message) in messages.iter().enumerate() {
                let permit = match room.try_acquire() {
                    Ok(permit) => permit,
                    Err(_) => {
                        write_out(&mut writing, &mut frames).await?;
                        // The semaphore is never closed.
                        room.acquire().await.map_err(io::Error::other)?
                    }
                };
                permit.forget();
                push_frame(&mut frames, number(at), "syslog", message);
                asked.store(at + 1, Ordering::Relaxed);
                if frames.len() >= WRITE {
                    write_out(&mut writing, &mut frames).await?;
                }
            }
            write_out(&mut writing, &mut frames).await?;
            Ok::<_, Failure>(())
        };
        let read = async {
            for _ in 0..messages.len() {
                let (number, answer) = answer(&mut reading, unread).await?;
                let said = answer.lines().next().unwrap_or_default();
                let answer = match said.starts_with("200") {
                    true => Ok(()),
                    false => Err(format!("the receiver answered `{}`", said.trim_end())),
                };
                let at = place_of(first, number).filter(|at| *at < asked.load(Ordering::Relaxed));
                if !at.is_some_and(|at| answers.put(at, answer)) {
                    return Err(Failure::Garbage(format!("it answered `{number}`, which was not asked")));
                }
                room.add_permits(1);
                patience.renew();
            }
            Ok(())
        };
        tokio::try_join!(write, read)?;
        self.next = number(messages.len());
        Ok(())
    }

    /// Ends the session in good order. Nothing depends on it: whatever was answered has arrived.
    pub async fn close(mut self) {
        let _ = tokio::time::timeout(FAREWELL, self.ask("close", b"")).await;
    }

    /// The connection, and whether the receiver has said something since its last answer, which can only be a farewell.
    pub fn idle(&mut self) -> Option<&mut Box<dyn Stream>> {
        self.unread.is_empty().then_some(&mut self.stream)
    }

    /// The connection, in whatever state the session is.
    pub fn stream(&mut self) -> &mut Box<dyn Stream> {
        &mut self.stream
    }

    /// The TCP connection itself.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.stream.socket()
    }

    async fn ask(&mut self, command: &str, data: &[u8]) -> Result<String, Failure> {
        let mut frame = Vec::new();
        push_frame(&mut frame, self.next, command, data);
        self.stream.write_all(&frame).await?;
        self.stream.flush().await?;
        let (number, answer) = answer(&mut self.stream, &mut self.unread).await?;
        if number != self.next {
            return Err(Failure::Garbage(format!("it answered `{number}`, which was not asked")));
        }
        self.next = number_after(self.next, 1);
        Ok(answer)
    }
}

/// The number that comes `count` after `number`.
fn number_after(number: u32, count: usize) -> u32 {
    let last = u64::from(LAST_NUMBER);
    let after = (u64::from(number) - 1 + count as u64) % last + 1;
    u32::try_from(after).unwrap_or(1)
}

/// How many after `first` the number is. Backwards is nowhere.
fn place_of(first: u32, number: u32) -> Option<usize> {
    let last = u64::from(LAST_NUMBER);
    let place = (u64::from(number) + last - u64::from(first)) % last;
    usize::try_from(place).ok().filter(|_| number > 0 && number <= LAST_NUMBER)
}

/// `TXNR SP COMMAND SP DATALEN [SP DATA] LF`
fn push_frame(frames: &mut Vec<u8>, number: u32, command: &str, data: &[u8]) {
    frames.extend_from_slice(format!("{number} {command} {}", data.len()).as_bytes());
    if !data.is_empty() {
        frames.push(b' ');
        frames.extend_from_slice(data);
    }
    frames.push(b'\n');
}

async fn write_out<W: AsyncWrite + Unpin>(writing: &mut W, frames: &mut Vec<u8>) -> Result<(), Failure> {
    writing.write_all(frames).await?;
    writing.flush().await?;
    frames.clear();
    Ok(())
}

/// The next answer: its number and its text.
async fn answer<R: AsyncReadExt + Unpin>(reading: &mut R, unread: &mut Vec<u8>) -> Result<(u32, String), Failure> {
    loop {
        if let Some((frame, length)) = parse(unread)? {
            unread.drain(..length);
            match frame.command.as_str() {
                "rsp" => return Ok((frame.number, String::from_utf8_lossy(&frame.data).into_owned())),
                "serverclose" => return Err(Failure::Closing),
                // Of other hints, nothing fatal comes of not knowing them.
                _ if frame.number == 0 => continue,
                other => return Err(Failure::Garbage(format!("it sent the command `{other}`, and servers send none"))),
            }
        }
        if reading.read_buf(unread).await? == 0 {
            let closed = io::Error::new(io::ErrorKind::ConnectionAborted, "the receiver closed the connection");
            return Err(closed.into());
        }
    }
}

/// The frame at the start of `bytes` and its length, if all of it is there.
fn parse(bytes: &[u8]) -> Result<Option<(Frame, usize)>, Failure> {
    let mut rest = bytes;
    let Some(number) = word(&mut rest, 9, u8::is_ascii_digit)? else {
        return Ok(None);
    };
    let Some(command) = word(&mut rest, 32, u8::is_ascii_alphabetic)? else {
        return Ok(None);
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = std::str::from_utf8(&rest[..digits]).ok().and_then(|length| length.parse::<usize>().ok());
    let Some(end) = rest.get(digits) else {
        return if digits <= 9 { Ok(None) } else { Err(garbage(bytes)) };
    };
    let length = length.filter(|length| *length <= LONGEST_ANSWER).ok_or_else(|| garbage(bytes))?;
    // Without data, some leave the blank before it out, and some do not.
    let start = digits + usize::from(*end == b' ');
    if *end != b' ' && length > 0 {
        return Err(garbage(bytes));
    }
    let Some(trailer) = rest.get(start + length) else {
        return Ok(None);
    };
    if *trailer != b'\n' {
        return Err(garbage(bytes));
    }
    let frame = Frame {
        number: number.parse().map_err(|_| garbage(bytes))?,
        command: command.to_owned(),
        data: rest[start..start + length].to_vec(),
    };
    Ok(Some((frame, bytes.len() - rest.len() + start + length + 1)))
}

/// Takes a word of such characters, and the blank behind it.
fn word<'a>(rest: &mut &'a [u8], longest: usize, fits: impl Fn(&u8) -> bool) -> Result<Option<&'a str>, Failure> {
    let length = rest.iter().take_while(|byte| fits(byte)).count();
    match rest.get(length) {
        None if length <= longest => Ok(None),
        Some(b' ') if (1..=longest).contains(&length) => {
            let word = std::str::from_utf8(&rest[..length]).map_err(|_| garbage(rest))?;
            *rest = &rest[length + 1..];
            Ok(Some(word))
        }
        _ => Err(garbage(rest)),
    }
}

fn garbage(bytes: &[u8]) -> Failure {
    let start: String = bytes.iter().take(40).map(|byte| byte.escape_ascii().to_string()).collect();
    Failure::Garbage(format!("it answered `{start}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(bytes: &[u8]) -> Result<Option<(u32, String, usize)>, String> {
        parse(bytes)
            .map(|found| {
                found.map(|(frame, length)| {
                    (frame.number, format!("{} {}", frame.command, String::from_utf8_lossy(&frame.data)), length)
                })
            })
            .map_err(|failure| failure.to_string())
    }

    #[test]
    fn frames_are_read_as_they_come() {
        let bytes = b"12 rsp 6 200 OK\n0 serverclose 0\n";
        for end in 0..16 {
            assert_eq!(parsed(&bytes[..end]), Ok(None), "{end}");
        }
        assert_eq!(parsed(bytes), Ok(Some((12, "rsp 200 OK".to_owned(), 16))));
        assert_eq!(parsed(&bytes[16..]), Ok(Some((0, "serverclose ".to_owned(), 16))));
        assert_eq!(parsed(b"0 serverclose 0 \n"), Ok(Some((0, "serverclose ".to_owned(), 17))));
        assert_eq!(parsed(b"1 rsp 3 a\nb\n"), Ok(Some((1, "rsp a\nb".to_owned(), 12))));
    }

    #[test]
    fn what_is_no_frame_is_known_at_once() {
        let bad: [&[u8]; 9] = [
            b"HTTP/1.1 400",
            b"SSH-2.0",
            b"1234567890",
            b"1 r5p",
            b"1 rsp x",
            b"1 rsp 999999999 ",
            b"1 rsp 2 abc",
            b"1 rsp 2\n",
            b" 1 rsp",
        ];
        for bytes in bad {
            let error = parsed(bytes).unwrap_err();
            assert!(error.starts_with("it answered `"), "{error}");
        }
        let long = [b"1 ".as_slice(), &[b'x'; 40]].concat();
        assert!(parsed(&long).is_err());
    }

    #[test]
    fn numbers_begin_anew() {
        assert_eq!(number_after(1, 0), 1);
        assert_eq!(number_after(LAST_NUMBER, 1), 1);
        assert_eq!(number_after(LAST_NUMBER - 1, 3), 2);
        assert_eq!(place_of(LAST_NUMBER - 1, 2), Some(3));
        assert_eq!(place_of(5, 5), Some(0));
        assert_eq!(place_of(5, 0), None);
    }
}
