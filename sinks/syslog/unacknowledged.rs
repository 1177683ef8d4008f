//! How much of what we wrote the other end has not acknowledged, as our kernel counts it.
//!
//! A write is done when our own kernel has the bytes. Only this tells what became of them: where the other machine is
//! gone, they stay in the queue until TCP gives up, long after the write.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// Bytes of a TCP connection that are sent and not acknowledged, or not even sent.
#[cfg(any(target_os = "linux", target_os = "android"))]
#[expect(unsafe_code, reason = "no crate of ours has a safe call for it")]
pub(super) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as it is borrowed, and SIOCOUTQ (by its other name) writes one `int`.
    let outcome = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    counted(outcome, bytes)
}

/// Bytes of a TCP connection that are sent and not acknowledged, or not even sent.
#[cfg(target_vendor = "apple")]
#[expect(unsafe_code, reason = "no crate of ours has a safe call for it")]
pub(super) fn unacknowledged(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut bytes: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is open for as long as it is borrowed, and SO_NWRITE writes one `int` into the one given.
    let outcome = unsafe {
        let value = (&raw mut bytes).cast::<libc::c_void>();
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NWRITE, value, &raw mut length)
    };
    counted(outcome, bytes)
}

/// Other systems do not tell: there a batch counts when the other end has had a moment to object.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
pub(super) fn unacknowledged(_: BorrowedFd<'_>) -> io::Result<usize> {
    Ok(0)
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn counted(outcome: libc::c_int, bytes: libc::c_int) -> io::Result<usize> {
    match outcome {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(usize::try_from(bytes).unwrap_or(0)),
    }
}
