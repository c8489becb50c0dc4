//! How the C library hands out memory.
//!
//! Must not know who uses it. Invariant: what is freed in large pieces goes back to the system at once.
#![cfg_attr(target_env = "gnu", expect(unsafe_code, reason = "the C library's own switch"))]

/// Keeps the resident memory of a process that allocates and frees pictures for days where it is: from this size on an
/// allocation is a mapping of its own, and stays so. By itself glibc raises the limit to the largest piece that was ever
/// freed (up to 32 MiB), so that pictures come to lie between small things and holes cannot be given back.
pub(crate) fn keep_tight() {
    #[cfg(target_env = "gnu")]
    {
        const LARGE_BYTES: libc::c_int = 128 * 1024;
        // SAFETY: sets a number; called before threads are begun, though it may be called at any time.
        let is_set = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BYTES) } == 1;
        if !is_set {
            tracing::debug!("the C library keeps its own way with large allocations");
        }
    }
}
