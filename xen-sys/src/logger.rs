//! A logger for the Xen libraries, as a Rust closure.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::io;
use std::ptr::NonNull;

use crate::raw::{
    XTL_CRITICAL, XTL_DEBUG, XTL_DETAIL, XTL_ERROR, XTL_INFO, XTL_NOTICE, XTL_PROGRESS,
    XTL_VERBOSE, XTL_WARN, xen_sys_logger_new, xentoollog_level, xentoollog_logger,
    xtl_logger_destroy,
};

/// How grave a message is (`xentoollog_level`, in five steps).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `XTL_DEBUG`.
    Trace,
    /// `XTL_VERBOSE`, `XTL_DETAIL`, `XTL_PROGRESS`.
    Debug,
    /// `XTL_INFO`, `XTL_NOTICE`.
    Info,
    /// `XTL_WARN`.
    Warn,
    /// `XTL_ERROR`, `XTL_CRITICAL` and whatever a later Xen adds.
    Error,
}

impl Level {
    fn from_raw(level: xentoollog_level) -> Level {
        match level {
            XTL_DEBUG => Level::Trace,
            XTL_VERBOSE | XTL_DETAIL | XTL_PROGRESS => Level::Debug,
            XTL_INFO | XTL_NOTICE => Level::Info,
            XTL_WARN => Level::Warn,
            XTL_ERROR | XTL_CRITICAL => Level::Error,
            _ => Level::Error,
        }
    }
}

/// One line that a library logs.
#[derive(Debug)]
pub struct Message<'a> {
    /// How grave it is.
    pub level: Level,
    /// The error number that belongs to it.
    pub errno: Option<c_int>,
    /// Which part of the library speaks, such as `libxl` or `xc`.
    pub context: Option<&'a CStr>,
    /// The text, at most 1023 bytes, not necessarily UTF-8.
    pub text: &'a CStr,
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(context) = self.context {
            write!(f, "{}: ", context.to_string_lossy())?;
        }
        write!(f, "{}", self.text.to_string_lossy())?;
        match self.errno {
            Some(errno) => write!(f, ": {}", io::Error::from_raw_os_error(errno)),
            None => Ok(()),
        }
    }
}

type Sink = Box<dyn Fn(&Message<'_>) + Send + Sync>;

/// An `xentoollog_logger` that calls a closure. It must outlive every library
/// handle that was given [`Logger::as_ptr`].
pub struct Logger {
    raw: NonNull<xentoollog_logger>,
    sink: NonNull<Sink>,
}

// SAFETY: the C structure is not written after it was made and the sink is
// `Send + Sync`, so the logger may be used and dropped on any thread.
unsafe impl Send for Logger {}
// SAFETY: as above.
unsafe impl Sync for Logger {}

impl Logger {
    /// Makes a logger. A panic in `sink` aborts the process, as it cannot unwind
    /// through C.
    pub fn new(sink: impl Fn(&Message<'_>) + Send + Sync + 'static) -> io::Result<Logger> {
        let sink: Box<Sink> = Box::new(Box::new(sink));
        let sink = NonNull::from(Box::leak(sink));
        // SAFETY: `forward` has the type that the shim calls, and `sink` lives until
        // `Drop` has destroyed the logger.
        let raw = unsafe { xen_sys_logger_new(Some(forward), sink.as_ptr().cast()) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Logger { raw, sink }),
            None => {
                // SAFETY: leaked above and not shared, since no logger exists.
                drop(unsafe { Box::from_raw(sink.as_ptr()) });
                Err(io::ErrorKind::OutOfMemory.into())
            }
        }
    }

    /// The pointer that C functions take; valid while `self` lives.
    pub fn as_ptr(&self) -> *mut xentoollog_logger {
        self.raw.as_ptr()
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        // SAFETY: made by `xen_sys_logger_new`; no library uses it any more.
        unsafe { xtl_logger_destroy(self.raw.as_ptr()) };
        // SAFETY: leaked in `new`; the logger that called it is gone.
        drop(unsafe { Box::from_raw(self.sink.as_ptr()) });
    }
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Logger").finish_non_exhaustive()
    }
}

extern "C" fn forward(
    data: *mut c_void,
    level: xentoollog_level,
    errno: c_int,
    context: *const c_char,
    text: *const c_char,
) {
    // SAFETY: `data` is the sink that `Logger::new` handed over and keeps alive.
    let sink = unsafe { &*data.cast::<Sink>() };
    // SAFETY: C string of the library, valid during this call.
    let context = (!context.is_null()).then(|| unsafe { CStr::from_ptr(context) });
    // SAFETY: the shim's buffer, ended by a NUL.
    let text = unsafe { CStr::from_ptr(text) };
    let errno = (errno >= 0).then_some(errno);
    sink(&Message { level: Level::from_raw(level), errno, context, text });
}
