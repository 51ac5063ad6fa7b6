//! Memory that a program of ours no longer needs goes back to the kernel at once, not some time.

/// Blocks from this size on are mappings of their own: they grow without being copied, and leave when they are freed. Well
/// above what small messages need, so that those stay cheap.
const MAPPED_FROM_BYTES: i32 = 256 * 1024;
/// Free memory at the top of the heap beyond this goes back.
const KEPT_AT_TOP_BYTES: i32 = 256 * 1024;

/// Fixes the C library's thresholds, which otherwise grow with every large block that is freed, until tens of megabytes stay
/// with the process for good. To be called once, before anything large is asked for.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "mallopt is a call of the C library")]
pub fn give_back_promptly() {
    // SAFETY: both parameters only change where later blocks come from. A refusal leaves the defaults.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT_AT_TOP_BYTES);
    }
}

/// Gives back whole pages that are free anywhere in the heap. Costs well under a millisecond where little is free.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "malloc_trim is a call of the C library")]
pub fn give_back_now() {
    // SAFETY: it only touches memory that nobody has; safe beside other threads.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other C libraries give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_promptly() {}

/// Other C libraries give back by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn give_back_now() {}
