//! Memory from malloc, which libxl frees, and memory of libxl's, which we free.
#![expect(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::ffi::{CStr, OsString, c_char};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::ptr;

use super::{Error, c_string};

/// `count` zeroed values from malloc; ends the process when there is no memory,
/// as libxl does. Null for none.
pub fn zeroed<T>(count: usize) -> *mut T {
    if count == 0 {
        return ptr::null_mut();
    }
    // SAFETY: calloc checks the multiplication.
    let block = unsafe { libc::calloc(count, size_of::<T>()) };
    if block.is_null() {
        handle_alloc_error(Layout::new::<T>());
    }
    block.cast()
}

/// A C string from malloc. `field` names the value in the error.
pub fn string(field: &'static str, text: &[u8]) -> Result<*mut c_char, Error> {
    let text = c_string(field, text)?;
    let bytes = text.as_bytes_with_nul();
    let copy = zeroed::<c_char>(bytes.len());
    // SAFETY: both have `bytes.len()` bytes, and the copy is new.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), copy, bytes.len()) };
    Ok(copy)
}

/// A path as a C string from malloc.
pub fn path(field: &'static str, path: &Path) -> Result<*mut c_char, Error> {
    string(field, path.as_os_str().as_bytes())
}

/// Like [`string`]; null for none.
pub fn optional(field: &'static str, text: Option<&str>) -> Result<*mut c_char, Error> {
    text.map_or(Ok(ptr::null_mut()), |text| string(field, text.as_bytes()))
}

/// Like [`path`]; null for none.
pub fn optional_path(field: &'static str, value: Option<&Path>) -> Result<*mut c_char, Error> {
    value.map_or(Ok(ptr::null_mut()), |value| path(field, value))
}

/// The text of a C string of libxl's, which keeps it.
///
/// # Safety
/// `text` is null or a C string.
pub unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: promised by the caller.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned())
}

/// The path in a C string of libxl's, which keeps it.
///
/// # Safety
/// `path` is null or a C string.
pub unsafe fn to_path(path: *const c_char) -> Option<PathBuf> {
    // SAFETY: promised by the caller.
    let bytes = (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) }.to_bytes().to_vec());
    bytes.map(|bytes| PathBuf::from(OsString::from_vec(bytes)))
}

/// The bytes of a block of libxl's, which is freed. None for null.
///
/// # Safety
/// `block` is null or comes from malloc with `len` bytes; the caller gives it up.
pub unsafe fn take_bytes(block: *mut u8, len: usize) -> Option<Vec<u8>> {
    if block.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    let bytes = unsafe { std::slice::from_raw_parts(block, len) }.to_vec();
    // SAFETY: promised by the caller.
    unsafe { libc::free(block.cast()) };
    Some(bytes)
}
