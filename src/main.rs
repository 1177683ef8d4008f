//! The `auditline` program.

fn main() -> std::process::ExitCode {
    keep_memory_small();
    auditline::cli::main()
}

/// Has glibc use one heap, and give large blocks back at once.
///
/// It would give each thread a heap of its own, and keep what pages and batches took for a while: a run over a million
/// records then holds twice the memory, for no speed that could be measured.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no safe way to set glibc's allocator")]
fn keep_memory_small() {
    const LARGE: libc::c_int = 128 * 1024;
    // SAFETY: called before there is another thread; these settings take any value.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE);
        libc::mallopt(libc::M_TRIM_THRESHOLD, LARGE);
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn keep_memory_small() {}
