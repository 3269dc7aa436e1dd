//! Raw bindings to libxenlight, libxlutil, libxenstore, libxenevtchn, libxengnttab
//! and libxentoollog, made at build time from the headers that are installed.
//!
//! Names are those of C; `xen/include/public` and the `libxl*.h` headers are the
//! documentation. The one safe thing here is [`Logger`], because every Xen library
//! takes one.
//!
//! Build scripts of direct dependents find the `LIBXL_HAVE_*` names of these
//! headers, without the prefix and separated by commas, in `DEP_XEN_HAVE`.

mod logger;
mod raw {
    #![expect(non_camel_case_types, reason = "names of C")]
    #![allow(
        missing_docs,
        missing_debug_implementations,
        non_upper_case_globals,
        non_snake_case,
        dead_code,
        clippy::all,
        clippy::undocumented_unsafe_blocks,
        unsafe_op_in_unsafe_fn,
        reason = "generated, and it depends on the features and on the version of Xen"
    )]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

pub use logger::{Level, Logger, Message};
pub use raw::*;
