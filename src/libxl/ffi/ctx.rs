//! The context itself.
#![expect(unsafe_code)]

use std::ffi::{CStr, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use xen_sys::{
    ERROR_NOMEM, LIBXL_VERSION, Logger, libxl_childproc_hooks, libxl_childproc_setmode, libxl_ctx,
    libxl_ctx_alloc, libxl_ctx_free, libxl_error_to_string,
    libxl_sigchld_owner_libxl_always_selective_reap,
};

use super::check;
use crate::libxl::Code;

/// libxl reaps its own children and nobody else's. It keeps the pointer.
static HOOKS: libxl_childproc_hooks = libxl_childproc_hooks {
    chldowner: libxl_sigchld_owner_libxl_always_selective_reap,
    fork_replacement: Some(fork),
    reaped_callback: None,
};

/// fork(2) for libxl, whose children start with no signal blocked: what this process
/// blocks for itself is what QEMU, for one, is told to end by.
unsafe extern "C" fn fork(_: *mut c_void) -> libc::pid_t {
    let mut none = MaybeUninit::uninit();
    // SAFETY: the function initialises the set.
    unsafe { libc::sigemptyset(none.as_mut_ptr()) };
    // SAFETY: libxl calls it where it would call fork, and its child does only what
    // libxl has it do.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: the set is initialised; the call is async-signal-safe.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut()) };
    }
    pid
}

/// A `libxl_ctx`, freed on drop. The pointer makes it neither `Send` nor `Sync`:
/// libxl would allow that, but its events come to whoever happens to poll.
#[derive(Debug)]
pub struct RawCtx {
    raw: NonNull<libxl_ctx>,
    /// Used by the context until it is freed.
    _logger: Logger,
}

impl RawCtx {
    pub fn open(logger: impl FnOnce() -> io::Result<Logger>) -> Result<RawCtx, Code> {
        let logger = logger().map_err(|_| Code(ERROR_NOMEM))?;
        let mut raw = ptr::null_mut();
        // SAFETY: `raw` takes the context; the logger outlives it, as it is a field
        // that is dropped after `Drop` has freed the context.
        let rc = unsafe { libxl_ctx_alloc(&mut raw, LIBXL_VERSION as i32, 0, logger.as_ptr()) };
        check(rc)?;
        let raw = NonNull::new(raw).ok_or(Code::FAIL)?;
        // SAFETY: the context is new and so has no children; the hooks are static.
        unsafe { libxl_childproc_setmode(raw.as_ptr(), &HOOKS, ptr::null_mut()) };
        Ok(RawCtx { raw, _logger: logger })
    }

    /// Open as long as `self` lives.
    pub fn as_ptr(&self) -> *mut libxl_ctx {
        self.raw.as_ptr()
    }
}

impl Drop for RawCtx {
    fn drop(&mut self) {
        // SAFETY: open, and freed once; whatever refers to it holds an `Rc` of it.
        unsafe { libxl_ctx_free(self.raw.as_ptr()) };
    }
}

/// libxl's name of an error.
pub fn error_name(code: Code) -> Option<&'static CStr> {
    // SAFETY: any number is allowed.
    let name = unsafe { libxl_error_to_string(code.0) };
    // SAFETY: null or a static C string.
    (!name.is_null()).then(|| unsafe { CStr::from_ptr(name) })
}
