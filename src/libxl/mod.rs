//! A safe wrapper of libxenlight, Xen's toolstack library.
//!
//! [`Ctx`] is the handle; its methods are the operations, one file per noun. They
//! are synchronous, as libxl itself is where it takes time. A context is bound to
//! its thread; a second thread opens its own.
//!
//! Sizes are in KiB as in libxl, and say so in their names.
//!
//! libxl has rules that types cannot express. While a context is open:
//! - no part of the program may install a handler for SIGCHLD or block it: libxl
//!   has one while it runs a child (a hotplug script, the destroyer of a domain).
//!   Other children of the program are left alone, so `std::process` works;
//! - a child that is forked must exec at once;
//! - when memory runs out, libxl ends the process.

mod config;
mod console;
mod ctx;
mod disk;
mod domain;
mod error;
mod event;
mod ffi;
mod host;
mod ids;
mod log;
mod memory;
mod nic;
mod scheduling;
mod share;
mod userdata;

pub use config::{Action, DomainConfig, GuestType};
pub use ctx::Ctx;
pub use disk::Disk;
pub use domain::{DomainInfo, DomainState, ShutdownReason};
pub use error::{Code, Error, Result};
pub use event::{DeathWatch, Event, EventKind};
pub use host::HostInfo;
pub use ids::{DomId, ParseIdError, Uuid};
pub use nic::{AttachedNic, Mac, Nic};
pub use scheduling::Scheduling;
pub use share::{Share, ShareServer, Shares};
