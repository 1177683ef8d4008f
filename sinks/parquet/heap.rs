//! The memory that packing took.

/// Gives back to the system what was freed.
///
/// A table of hundreds of columns takes a thousand small pieces from the heap, among them those of others. Freed, they are
/// kept by glibc for the next one that fits, and after a few tables the heap was seen to hold twice what is in use.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc has no safe name for it")]
fn glibc() {
    // SAFETY: takes any number, may be called by any thread at any time, and leaves alone what is in use.
    unsafe { libc::malloc_trim(0) };
}
