//! How the allocator of the C library keeps what was freed, so that a sidecar of 64 MiB has enough.

/// Makes glibc keep one heap, and give back what is large or at its end.
///
/// By itself glibc gives every thread a heap of its own (8 for each core) and never returns what a page or a batch once
/// took there: a read of a million records held twice as much that way (`make bench` measures it). One heap is enough for us:
/// a record is decoded and transformed in an arena, and hardly anything is allocated by two threads at once.
pub fn keep_little() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "glibc takes its settings from the environment before `main`, or by this call")]
fn glibc() {
    const MEBIBYTE: i32 = 1 << 20;
    for (setting, value) in
        [(libc::M_ARENA_MAX, 1), (libc::M_MMAP_THRESHOLD, MEBIBYTE), (libc::M_TRIM_THRESHOLD, MEBIBYTE)]
    {
        // SAFETY: `mallopt` takes any two numbers and checks them; no other thread runs yet.
        // A setting it does not take costs memory and nothing else.
        unsafe { libc::mallopt(setting, value) };
    }
}
