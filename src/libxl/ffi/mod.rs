//! libxl, made safe: structures that own their memory, and one function for each
//! C function. All unsafe code of the libxl wrapper is in this directory.
//!
//! Pointers that libxl's `*_dispose` functions free come from malloc alone.

mod alloc;
mod config;
mod ctx;
mod device;
mod domain;
mod event;
mod host;
mod scheduling;
mod share;

use std::ffi::CString;

pub use config::RawConfig;
pub use ctx::{RawCtx, error_name};
pub use device::{RawDisk, RawNic, list_disks, list_nics};
pub use domain::{
    core_dump, destroy, domain_info, list_domains, pause, rename, set_memory_target, shutdown,
    unpause,
};
pub use event::{DeathGenerator, RawEvent, after_poll, before_poll, next_event, poll};
pub use host::{console_tty, free_memory_kib, host, random, userdata_retrieve, userdata_store};
pub use scheduling::{set_affinity, set_params};

use super::{Code, Error};

/// The name of a value in an error, and the value for C.
pub fn c_string(field: &'static str, bytes: &[u8]) -> Result<CString, Error> {
    CString::new(bytes).map_err(|_| Error::Nul { field })
}

/// Turns the answer of most C functions into a result.
fn check(rc: i32) -> Result<(), Code> {
    if rc == 0 { Ok(()) } else { Err(Code(rc)) }
}
