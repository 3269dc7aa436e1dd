//! Why libxl did not do it, in libxl's own words.

use std::ffi::CStr;
use std::fmt;
use std::io;
use std::path::PathBuf;

use super::ffi;
use crate::xenstore;

/// The result of a libxl operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why libxl did not do it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The kernel offers no way to the hypervisor.
    #[error("this system does not run on Xen, or not as its Dom0 ({}: {error})", device.display())]
    NotOnXen {
        /// `/dev/xen/privcmd`.
        device: PathBuf,
        /// What opening it gave.
        error: io::Error,
    },
    /// The way to the hypervisor is closed to this user.
    #[error("no permission to talk to the hypervisor ({})", device.display())]
    PermissionDenied {
        /// `/dev/xen/privcmd`.
        device: PathBuf,
    },
    /// xenstored is not running or not for us, or it refused something.
    #[error(transparent)]
    Xenstore(#[from] xenstore::Error),
    /// A value that C cannot take.
    #[error("the {field} contains a NUL byte")]
    Nul {
        /// Which value.
        field: &'static str,
    },
    /// Xen has too little memory left.
    #[error(
        "not enough memory for domain {name:?}: it needs {need_mib} MiB, {free_mib} MiB are free"
    )]
    NotEnoughMemory {
        /// The domain that does not fit.
        name: String,
        /// MiB that it takes, Xen's own share included.
        need_mib: u64,
        /// MiB that nobody has.
        free_mib: u64,
    },
    /// poll(2) failed.
    #[error("cannot wait for events: {0}")]
    Poll(io::Error),
    /// libxl failed.
    #[error("cannot {action}: {}", explain(*code, log))]
    Libxl {
        /// What was to be done, such as `create domain "web"`.
        action: String,
        /// libxl's error.
        code: Code,
        /// The error lines that libxl logged meanwhile, oldest first: the first one
        /// is mostly the cause.
        log: Vec<String>,
    },
}

impl Error {
    /// What the user can do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::NotOnXen { .. } => {
                Some("boot this machine under Xen and `modprobe xen-privcmd`; see `vxn check`")
            }
            Error::PermissionDenied { .. }
            | Error::Xenstore(xenstore::Error::PermissionDenied { .. }) => Some("run vxn as root"),
            Error::Xenstore(xenstore::Error::NotRunning { .. }) => Some(
                "start it (`systemctl start xenstored`); `vxn check` says what else is missing",
            ),
            Error::NotEnoughMemory { .. } => {
                Some("give it less memory, or end another domain: `vxn domain list`")
            }
            _ => None,
        }
    }
}

/// libxl's words, without the same thing again from one of its layers to the next.
fn explain(code: Code, log: &[String]) -> String {
    if log.is_empty() { code.to_string() } else { log.join("; ") }
}

/// An error number of libxl (`libxl_error`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub(super) i32);

impl Code {
    /// There is no such domain.
    pub const DOMAIN_NOTFOUND: Code = Code(xen_sys::ERROR_DOMAIN_NOTFOUND);
    /// The domain was destroyed meanwhile.
    pub const DOMAIN_DESTROYED: Code = Code(xen_sys::ERROR_DOMAIN_DESTROYED);
    /// There is no such device.
    pub const NOTFOUND: Code = Code(xen_sys::ERROR_NOTFOUND);
    /// There is such a device already.
    pub const DEVICE_EXISTS: Code = Code(xen_sys::ERROR_DEVICE_EXISTS);
    /// A lock cannot be taken; mostly because the domain is going away.
    pub const LOCK_FAIL: Code = Code(xen_sys::ERROR_LOCK_FAIL);
    /// Nothing has happened yet.
    pub const NOT_READY: Code = Code(xen_sys::ERROR_NOT_READY);
    /// The buffer is too small.
    pub(super) const BUFFERFULL: Code = Code(xen_sys::ERROR_BUFFERFULL);
    /// It took too long.
    pub const TIMEDOUT: Code = Code(xen_sys::ERROR_TIMEDOUT);
    /// Something failed; libxl gives no better number for most errors.
    pub const FAIL: Code = Code(xen_sys::ERROR_FAIL);
    /// An argument is invalid.
    pub const INVAL: Code = Code(xen_sys::ERROR_INVAL);
}

impl fmt::Display for Code {
    /// The name without `ERROR_`, in lower case (`libxl_error_to_string`).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match ffi::error_name(*self).map(CStr::to_string_lossy) {
            Some(name) => write!(f, "libxl error {name}"),
            None => write!(f, "libxl error {}", self.0),
        }
    }
}
