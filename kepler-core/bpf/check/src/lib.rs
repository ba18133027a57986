//! The kernel object under libbpf, the loader that the kernel's developers keep, beside aya, which the library uses; and
//! libbpf's own headers, to build the object without a distribution's.
//!
//! Only tests use this: libbpf needs a C compiler and libelf, which no user of the library should need.

#![expect(unsafe_code, reason = "libbpf is a C library")]

use std::ffi::{CStr, c_char};
use std::fs;
use std::io::{Error, Result};
use std::path::Path;
use std::ptr::{self, NonNull};

use libbpf_sys as sys;

/// An object that libbpf has parsed.
pub struct Object(NonNull<sys::bpf_object>);

impl Object {
    /// Parses the bytes of an object file.
    ///
    /// # Errors
    /// What libbpf says of bytes that it cannot read.
    pub fn open(bytes: &[u8]) -> Result<Self> {
        // SAFETY: the bytes are valid for their length, libbpf copies what it keeps of them, and null asks for defaults.
        let object = unsafe {
            // Refusals are told by what `load_only` returns; the verifier's log would flood the tests' output.
            sys::libbpf_set_print(None);
            sys::bpf_object__open_mem(bytes.as_ptr().cast(), bytes.len() as u64, ptr::null())
        };
        NonNull::new(object)
            .map(Self)
            .ok_or_else(Error::last_os_error)
    }

    /// Names of the programs with the sections that say where they attach, in the order of the file.
    pub fn programs(&self) -> Vec<(String, String)> {
        let of = |program: NonNull<sys::bpf_program>| {
            // SAFETY: the program belongs to this open object, and so do both strings.
            let [name, section] = unsafe {
                [
                    sys::bpf_program__name(program.as_ptr()),
                    sys::bpf_program__section_name(program.as_ptr()),
                ]
            };
            (text(name), text(section))
        };
        self.each().map(of).collect()
    }

    /// Names of the maps, in the order of the file.
    pub fn maps(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut map = ptr::null_mut();
        loop {
            // SAFETY: the object is open, and the map is null or the one that the call before returned.
            map = unsafe { sys::bpf_object__next_map(self.0.as_ptr(), map) };
            if map.is_null() {
                return names;
            }
            // SAFETY: the map belongs to this open object, and so does its name.
            names.push(text(unsafe { sys::bpf_map__name(map) }));
        }
    }

    /// Makes all maps and loads one program into the kernel, which verifies it; it is gone again afterwards.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn load_only(self, wanted: &str) -> Result<()> {
        for program in self.each() {
            // SAFETY: the program belongs to this object, which is open and not loaded yet.
            let code = unsafe {
                let name = text(sys::bpf_program__name(program.as_ptr()));
                sys::bpf_program__set_autoload(program.as_ptr(), name == wanted)
            };
            checked(code)?;
        }
        // SAFETY: the object is open and not loaded yet.
        checked(unsafe { sys::bpf_object__load(self.0.as_ptr()) })
    }

    fn each(&self) -> impl Iterator<Item = NonNull<sys::bpf_program>> {
        let next = |before: *mut sys::bpf_program| {
            // SAFETY: the object is open, and `before` is null or a program of it.
            NonNull::new(unsafe { sys::bpf_object__next_program(self.0.as_ptr(), before) })
        };
        std::iter::successors(next(ptr::null_mut()), move |program| next(program.as_ptr()))
    }
}

impl Drop for Object {
    fn drop(&mut self) {
        // SAFETY: the object is open and closed once.
        unsafe { sys::bpf_object__close(self.0.as_ptr()) }
    }
}

/// Writes libbpf's headers as `bpf/*.h` under a folder.
///
/// # Errors
/// Those of writing files.
pub fn write_headers(folder: &Path) -> Result<()> {
    let folder = folder.join("bpf");
    fs::create_dir_all(&folder)?;
    sys::API_HEADERS
        .iter()
        .try_for_each(|(name, content)| fs::write(folder.join(name), content))
}

/// libbpf's calls return 0 or a negative error number.
fn checked(code: i32) -> Result<()> {
    if code < 0 {
        Err(Error::from_raw_os_error(-code))
    } else {
        Ok(())
    }
}

/// A C string of libbpf's.
fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: not null, and libbpf ends its strings.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}
