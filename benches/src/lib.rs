//! Loads and helpers for the benches. Nothing here is part of the library.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// A count that two processes share through a file of eight bytes.
pub struct Shared(NonNull<AtomicU64>);

impl Shared {
    /// Maps the file.
    ///
    /// # Errors
    /// When it is not there or too small to be mapped.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        if file.metadata()?.len() < 8 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        #[expect(unsafe_code, reason = "std does not map files")]
        // SAFETY: a new mapping of a file that is large enough, at no address in particular.
        let place = unsafe {
            let file = file.as_raw_fd();
            libc::mmap(
                std::ptr::null_mut(),
                8,
                protection,
                libc::MAP_SHARED,
                file,
                0,
            )
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(place.cast())
            .map(Self)
            .ok_or_else(|| io::ErrorKind::Other.into())
    }

    /// The count.
    pub fn get(&self) -> u64 {
        self.count().load(Ordering::Relaxed)
    }

    /// Counts so many more.
    pub fn add(&self, more: u64) {
        self.count().fetch_add(more, Ordering::Relaxed);
    }

    #[expect(unsafe_code, reason = "the mapping is made by hand")]
    fn count(&self) -> &AtomicU64 {
        // SAFETY: the mapping is as large, page-aligned, and there until the program ends.
        unsafe { self.0.as_ref() }
    }
}

/// Ties this process to one CPU, the first where `at` is 0. A machine with fewer CPUs leaves it where it is.
pub fn pin(at: usize) {
    #[expect(unsafe_code, reason = "std does not pin")]
    // SAFETY: an all-zero set is an empty one; it outlives the call, which fails without harm where there is no such CPU.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(at, &mut set);
        libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set);
    }
}
