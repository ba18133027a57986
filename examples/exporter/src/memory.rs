//! What the C library's allocator is told, so that this program takes little memory and gives it back.

/// Opening the sources takes several large pieces for a moment (the kernel's type information). From this size on each is
/// mapped by itself: it grows without being copied and is gone when it is freed. By itself the allocator would raise the
/// size with the first such piece.
#[cfg(target_env = "gnu")]
const MAPPED: i32 = 1 << 20;

/// To be called before anything large is allocated.
pub(crate) fn map_large_pieces() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "std does not speak of the allocator")]
    // SAFETY: the call takes no pointer and may be made at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED);
    }
}

/// Gives back what is free between what is kept, which the allocator does not do by itself.
pub(crate) fn give_back() {
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "std does not speak of the allocator")]
    // SAFETY: the call takes no pointer and may be made at any time.
    unsafe {
        libc::malloc_trim(0);
    }
}
