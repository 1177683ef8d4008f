//! A connection to a receiver, and what can be seen of the other end.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpStream, UdpSocket, lookup_host};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::ProtocolVersion;
use tokio_rustls::rustls::pki_types::ServerName;

use super::patience::Patience;
use super::relp::{Answers, Failure, Relp};
use super::unacknowledged::unacknowledged;
use super::{Config, Framing, Transport};
use crate::address::Address;
use crate::tls::{TlsConfig, explain};
use crate::{BuildError, DeliveryError};

/// TLS 1.3 is done on our side before the receiver has looked at our certificate: it may refuse us after our first
/// record is written, and nothing but a read would show it. So a new connection is read from before anything is
/// written. The receiver's first session ticket says that it is done with the handshake; one that sends no tickets is
/// given this long.
const TLS_FINISHED: Duration = Duration::from_secs(1);

/// rsyslog looks at the certificate only after that, and closes without an alert.
const TLS_OBJECTION: Duration = Duration::from_millis(100);

/// How long the other end's close or reset is waited for after a batch: some round trips of a local network. It costs
/// each batch this much, and catches a receiver that is going away.
const FAREWELL: Duration = Duration::from_millis(20);

/// As much of what is said where nothing should be as an error repeats, in characters.
const EXCERPT: usize = 80;

/// How often it is looked whether the other end has acknowledged a batch. Nothing wakes us for that.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// How often it is looked whether a receiver that is slow takes something all the same. Our kernel wakes a writer only when
/// a third of its buffer is free, which may be all of a batch.
const LOOK_AFTER: Duration = Duration::from_millis(100);

/// Something to write frames to.
pub(super) enum Connection {
    Udp(UdpSocket, Address),
    Stream(Box<dyn Stream>, Framing, Address),
    Relp(Relp, Address),
}

pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {
    /// The TCP connection itself.
    fn socket(&self) -> BorrowedFd<'_>;
}

impl Stream for TcpStream {
    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}

impl Stream for TlsStream<TcpStream> {
    fn socket(&self) -> BorrowedFd<'_> {
        self.get_ref().0.as_fd()
    }
}

impl Connection {
    pub async fn open(config: &Config, patience: &Patience) -> Result<Self, DeliveryError> {
        let address = &config.address;
        let unreachable = |error| unreachable(error, address);
        if config.transport == Transport::Udp {
            let socket = udp(address).await.map_err(unreachable)?;
            return Ok(Self::Udp(socket, address.clone()));
        }
        let stream = TcpStream::connect((address.host.as_str(), address.port)).await.map_err(unreachable)?;
        stream.set_nodelay(true).map_err(unreachable)?;
        patience.renew();
        let framing = config.framing.unwrap_or_default();
        match (config.transport, &config.tls) {
            (Transport::Tls, tls) => {
                let mut stream = encrypt(stream, address, tls.clone().unwrap_or_default()).await?;
                patience.renew();
                let objection = objection(&mut stream).await;
                objection.map_err(|error| refused_after_handshake(error, address))?;
                Ok(Self::Stream(Box::new(stream), framing, address.clone()))
            }
            (Transport::Relp, Some(tls)) => {
                let stream = encrypt(stream, address, tls.clone()).await.map_err(for_relp)?;
                patience.renew();
                Self::relp(Box::new(stream), address, true).await
            }
            (Transport::Relp, None) => Self::relp(Box::new(stream), address, false).await,
            (Transport::Tcp | Transport::Udp, _) => Ok(Self::Stream(Box::new(stream), framing, address.clone())),
        }
    }

    /// Here no wait is needed to know that TLS was accepted: the receiver answers the first command.
    async fn relp(stream: Box<dyn Stream>, address: &Address, encrypted: bool) -> Result<Self, DeliveryError> {
        match Relp::open(stream).await {
            Ok(session) => Ok(Self::Relp(session, address.clone())),
            Err(Failure::Broken(error)) if encrypted => Err(refused_after_handshake(error, address)),
            Err(Failure::Broken(error)) => Err(broken(error, address)),
            Err(failure @ Failure::Closing) => Err(closing(failure, address)),
            Err(failure) => Err(DeliveryError::refused(
                format!("`{address}` does not take syslog over RELP"),
                "give the port of the receiver's RELP input (`imrelp` in rsyslog), with `tls` only if that asks for it",
                failure,
            )),
        }
    }

    /// Waits so long for words, of which a syslog receiver has none. With RELP, it has said who it is.
    pub async fn listen(&mut self, time: Duration) -> Result<(), DeliveryError> {
        match self {
            Self::Stream(stream, _, address) => {
                objection_within(time, stream).await.map_err(|error| broken(error, address))
            }
            Self::Udp(..) | Self::Relp(..) => Ok(()),
        }
    }

    /// Ends what was opened only to see whether it can be.
    pub async fn close(self) {
        if let Self::Relp(session, _) = self {
            session.close().await;
        }
    }

    /// Says that nothing more will come, and waits so long until the other end has closed too: then it has read all. What it
    /// has not read yet, it could take for newer than what comes over the next connection.
    pub async fn end(&mut self, time: Duration) {
        let stream = match self {
            Self::Stream(stream, ..) => stream,
            Self::Relp(session, _) => session.stream(),
            Self::Udp(..) => return,
        };
        let ended = async {
            stream.shutdown().await?;
            tokio::io::copy(stream, &mut tokio::io::sink()).await
        };
        // Whatever comes of it, the batch goes over another connection.
        let _ = tokio::time::timeout(time, ended).await;
    }

    /// Itself, if the other end is still there as far as one look without waiting tells. An error if what is there has
    /// turned out to be no syslog receiver.
    pub fn if_open(mut self) -> Result<Option<Self>, DeliveryError> {
        let open = match &mut self {
            // Nobody would tell that the name leads to another address by now.
            Self::Udp(..) => false,
            Self::Stream(stream, _, address) => {
                let mut context = Context::from_waker(Waker::noop());
                match poll_farewell(stream, &mut context) {
                    Poll::Ready(error) if spoken(&error).is_some() => return Err(broken(error, address)),
                    farewell => farewell.is_pending(),
                }
            }
            Self::Relp(session, _) => session.idle().is_some_and(is_silent),
        };
        Ok(open.then_some(self))
    }

    /// Returns when the other end's system has acknowledged everything, and the receiver had a moment to object; with
    /// RELP, when the receiver itself has answered each message, as `answers` tells also of those before a failure. A
    /// datagram is not acknowledged by anybody.
    pub async fn send(
        &mut self,
        messages: &[Vec<u8>],
        answers: &Answers,
        patience: &Patience,
    ) -> Result<(), DeliveryError> {
        let (sent, address) = match self {
            Self::Udp(socket, address) => (send_datagrams(socket, messages, patience).await, address),
            Self::Stream(stream, framing, address) => {
                (send_frames(stream, *framing, messages, patience).await, address)
            }
            Self::Relp(session, address) => {
                let sent = send_commands(session, messages, answers, patience).await;
                return sent.map_err(|failure| match failure {
                    Failure::Broken(error) => broken(error, address),
                    failure @ Failure::Closing => closing(failure, address),
                    other => DeliveryError::retryable(
                        format!("`{address}` does not keep to RELP: check what stands between"),
                        other,
                    ),
                });
            }
        };
        sent.map_err(|error| broken(error, address))
    }
}

/// Whether nothing has come from the other end, neither bytes nor its end. Between two batches RELP has nothing to say
/// but that it closes.
fn is_silent(stream: &mut Box<dyn Stream>) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    let mut ignored = [0; 1];
    let mut buffer = ReadBuf::new(&mut ignored);
    Pin::new(stream).poll_read(&mut context, &mut buffer).is_pending()
}

fn closing(failure: Failure, address: &Address) -> DeliveryError {
    DeliveryError::retryable(format!("`{address}` closed the session: if it keeps on, see the receiver's log"), failure)
}

async fn udp(address: &Address) -> io::Result<UdpSocket> {
    let mut failure = None;
    for target in lookup_host((address.host.as_str(), address.port)).await? {
        let local: SocketAddr = match target {
            SocketAddr::V4(_) => ([0; 4], 0).into(),
            SocketAddr::V6(_) => ([0; 16], 0).into(),
        };
        let socket = UdpSocket::bind(local).await?;
        match socket.connect(target).await {
            Ok(()) => return Ok(socket),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
}

async fn encrypt(stream: TcpStream, address: &Address, tls: TlsConfig) -> Result<TlsStream<TcpStream>, DeliveryError> {
    // Read anew, for certificates that are rotated; off the runtime's threads, for the system's store is large.
    let client = {
        let tls = tls.clone();
        tokio::task::spawn_blocking(move || tls.client())
    };
    let client = client
        .await
        .map_err(|error| DeliveryError::retryable("the TLS files were not read", error))?
        .map_err(|BuildError { message, hint, source, .. }| DeliveryError::Refused { message, hint, source })?;
    let name = tls.server_name.unwrap_or_else(|| address.host.clone());
    let name = ServerName::try_from(name).map_err(|error| {
        DeliveryError::refused(
            format!("`{}` is no name a certificate can have", address.host),
            "set `tls.server_name`",
            error,
        )
    })?;
    let connector = TlsConnector::from(Arc::clone(&client));
    connector.connect(name, stream).await.map_err(|error| match error.kind() {
        // It has looked at our certificate before we were done with what we say.
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => refused_after_handshake(error, address),
        _ => broken(error, address),
    })
}

/// What a plain port is answered with elsewhere names a transport; here it is `tls` itself that asks for TLS.
fn for_relp(error: DeliveryError) -> DeliveryError {
    match error {
        DeliveryError::Refused { message, hint, source } if hint.contains("`transport = ") => {
            let hint = "give the port of the receiver's RELP input with TLS, or take `tls` out".to_owned();
            DeliveryError::Refused { message, hint, source }
        }
        other => other,
    }
}

/// A receiver that ends a connection with which nothing is wrong.
fn refused_after_handshake(error: io::Error, address: &Address) -> DeliveryError {
    // No alert, only an end. It may be a proxy without a receiver behind it, so it is not taken for a refusal.
    if explain(&error).is_none() && spoken(&error).is_none() {
        return DeliveryError::retryable(
            format!(
                "`{address}` closed the connection at the TLS handshake: if it asks for a certificate, set \
                 `tls.cert` and `tls.key` to one its authority has signed"
            ),
            error,
        );
    }
    broken(error, address)
}

/// Waits for a receiver that has not taken us yet to do so, or to say why not.
async fn objection(stream: &mut TlsStream<TcpStream>) -> io::Result<()> {
    if stream.get_ref().1.protocol_version() != Some(ProtocolVersion::TLSv1_3) {
        return Ok(());
    }
    let finished = std::future::poll_fn(|context| {
        if let Poll::Ready(error) = poll_farewell(stream, context) {
            return Poll::Ready(Err(error));
        }
        match stream.get_ref().1.tls13_tickets_received() {
            0 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    });
    tokio::time::timeout(TLS_FINISHED, finished).await.unwrap_or(Ok(()))?;
    objection_within(TLS_OBJECTION, stream).await
}

async fn send_datagrams(socket: &UdpSocket, messages: &[Vec<u8>], patience: &Patience) -> io::Result<()> {
    for message in messages {
        socket.send(message).await?;
        patience.renew();
    }
    // A closed port answers, but later than the send returns.
    let mut ignored = [0; 16];
    match tokio::time::timeout(FAREWELL, socket.recv(&mut ignored)).await {
        Ok(Err(error)) => Err(error),
        _ => Ok(()),
    }
}

async fn send_commands(
    session: &mut Relp,
    messages: &[Vec<u8>],
    answers: &Answers,
    patience: &Patience,
) -> Result<(), Failure> {
    let socket = session.socket().try_clone_to_owned()?;
    tokio::select! {
        sent = session.send(messages, answers, patience) => sent,
        error = watched(&socket, patience) => Err(error.into()),
    }
}

async fn send_frames(
    stream: &mut Box<dyn Stream>,
    framing: Framing,
    messages: &[Vec<u8>],
    patience: &Patience,
) -> io::Result<()> {
    let length: usize = messages.iter().map(|message| message.len() + 8).sum();
    let mut frames = Vec::with_capacity(length);
    for message in messages {
        // RFC 6587, sections 3.4.1 and 3.4.2.
        if framing == Framing::OctetCounting {
            frames.extend_from_slice(message.len().to_string().as_bytes());
            frames.push(b' ');
        }
        frames.extend_from_slice(message);
        if framing == Framing::Newline {
            frames.push(b'\n');
        }
    }
    write(stream, &frames, patience).await?;
    // A connection that died in silence takes what is written like any other.
    let mut before = usize::MAX;
    loop {
        let left = unacknowledged(stream.socket())?;
        if left == 0 {
            break;
        }
        if left < before {
            patience.renew();
            before = left;
        }
        objection_within(LOOK_AGAIN, stream).await?;
    }
    objection_within(FAREWELL, stream).await
}

async fn write(stream: &mut Box<dyn Stream>, mut frames: &[u8], patience: &Patience) -> io::Result<()> {
    let socket = stream.socket().try_clone_to_owned()?;
    // A receiver that refuses us stops reading, so what it says must be heard while we still write.
    let (mut reading, mut writing) = tokio::io::split(stream);
    let written = async {
        while !frames.is_empty() {
            match writing.write(frames).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                length => frames = &frames[length..],
            }
            patience.renew();
        }
        writing.flush().await
    };
    tokio::select! {
        biased;
        said = farewell(&mut reading) => Err(said),
        written = written => written,
        error = watched(&socket, patience) => Err(error),
    }
}

/// Renews the patience whenever the other end's system has acknowledged something. Returns only if that cannot be seen.
async fn watched(socket: &OwnedFd, patience: &Patience) -> io::Error {
    let mut before = 0;
    loop {
        match unacknowledged(socket.as_fd()) {
            Ok(left) if left == before => {}
            Ok(left) => {
                patience.renew();
                before = left;
            }
            Err(error) => return error,
        }
        tokio::time::sleep(LOOK_AFTER).await;
    }
}

/// Waits for the other end to close, fail or speak, and is content if it does not.
async fn objection_within<R: AsyncRead + Unpin>(patience: Duration, stream: &mut R) -> io::Result<()> {
    match tokio::time::timeout(patience, farewell(stream)).await {
        Ok(said) => Err(said),
        Err(_) => Ok(()),
    }
}

/// Returns when the other end closes, fails or speaks.
async fn farewell<R: AsyncRead + Unpin>(stream: &mut R) -> io::Error {
    std::future::poll_fn(|context| poll_farewell(stream, context)).await
}

fn poll_farewell<R: AsyncRead + Unpin>(stream: &mut R, context: &mut Context<'_>) -> Poll<io::Error> {
    let mut bytes = [0; 1024];
    let mut buffer = ReadBuf::new(&mut bytes);
    match Pin::new(stream).poll_read(context, &mut buffer) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(Ok(())) if buffer.filled().is_empty() => Poll::Ready(closed()),
        Poll::Ready(Ok(())) => Poll::Ready(io::Error::new(io::ErrorKind::InvalidData, Spoken::of(buffer.filled()))),
        Poll::Ready(Err(error)) => Poll::Ready(error),
    }
}

/// What came from the other end, to which syslog has nothing to say (RFC 6587, RFC 5425): so it is a server of another
/// kind, which took our messages for its own protocol and keeps none of them.
#[derive(Debug, thiserror::Error)]
#[error("a syslog receiver never answers")]
struct Spoken {
    /// The beginning, in one line.
    line: String,
    /// Whether it is a record of TLS.
    is_tls: bool,
}

impl Spoken {
    fn of(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes.trim_ascii_start());
        let line = text.lines().next().unwrap_or_default().trim_end();
        let visible = line.chars().map(|char| if char.is_control() { char::REPLACEMENT_CHARACTER } else { char });
        let mut line: String = visible.clone().take(EXCERPT).collect();
        if visible.count() > EXCERPT {
            line.push('…');
        }
        // An alert, of any version.
        Self { line, is_tls: bytes.starts_with(&[21, 3]) }
    }
}

fn spoken(error: &io::Error) -> Option<&Spoken> {
    error.get_ref()?.downcast_ref()
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the receiver closed the connection")
}

fn broken(error: io::Error, address: &Address) -> DeliveryError {
    if let Some((what, hint)) = explain(&error) {
        return DeliveryError::refused(format!("no TLS with `{address}`: {what}"), hint, error);
    }
    match spoken(&error) {
        Some(Spoken { is_tls: true, .. }) => {
            return DeliveryError::refused(
                format!("`{address}` wants TLS"),
                "set `transport = \"tls\"`, or give the port of the receiver's input without TLS",
                error,
            );
        }
        Some(Spoken { line, .. }) => {
            return DeliveryError::refused(
                format!("`{address}` answered `{line}`: what answers there is no syslog receiver"),
                "give the port of the receiver's syslog input",
                error,
            );
        }
        None => {}
    }
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return unreachable(error, address);
    }
    match error.raw_os_error() {
        // EMSGSIZE: the path's limit is below ours.
        Some(90) => DeliveryError::refused(
            format!("a datagram to `{address}` is too large for the network"),
            "lower `max_size`, or use `transport = \"tcp\"`",
            error,
        ),
        _ => DeliveryError::retryable(
            format!("the connection to `{address}` broke: if it keeps on, see the receiver's log"),
            error,
        ),
    }
}

/// No connection, for which the name may be at fault, the port, or what is between.
fn unreachable(error: io::Error, address: &Address) -> DeliveryError {
    let message = match error.kind() {
        io::ErrorKind::ConnectionRefused => format!("nobody listens at `{address}`: check that it runs, and its port"),
        _ => format!("cannot connect to `{address}`: check its name, and what stands between"),
    };
    DeliveryError::retryable(message, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_told_in_one_line() {
        for (bytes, line) in [
            (b"220 mail.example.com ESMTP\r\n250 ok\r\n".as_slice(), "220 mail.example.com ESMTP"),
            (b"\r\n-ERR unknown command 'x'\0\xff\r\n", "-ERR unknown command 'x'\u{fffd}\u{fffd}"),
            (b"\n", ""),
        ] {
            assert_eq!(Spoken::of(bytes).line, line);
        }
        assert_eq!(Spoken::of(&[b'x'; 81]).line, format!("{}…", "x".repeat(80)));
        assert!(Spoken::of(&[21, 3, 3, 0, 2, 2, 10]).is_tls && !Spoken::of(b"SSH-2.0").is_tls);
    }
}
