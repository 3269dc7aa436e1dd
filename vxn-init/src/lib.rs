//! PID 1 of a vxn DomU.
//!
//! It mounts the kernel's file systems, loads the few modules that a modular
//! kernel needs, connects to vxn in Dom0 over vchan, mounts the container's
//! root file system and runs processes in it through `libcontainer`. When Dom0
//! says so or goes away it powers off; when it cannot go on it says why, on the
//! channel and on the console, and exits, which makes the kernel panic and the
//! DomU crash: quickly, and with a reason that Dom0 sees.
//!
//! `docs/guest.md` describes the life of a guest, `docs/protocol.md` the channel.
//!
//! The binary is single-threaded, because `libcontainer` clones it without the
//! C library's knowledge. It is a library only so that its tests can drive it.

pub mod boot;
pub mod channel;
pub mod configure;
pub mod container;
mod device;
pub mod disk;
mod error;
mod executor;
mod files;
mod fill;
mod freezer;
mod limits;
mod look;
pub mod modules;
pub mod network;
mod oom;
mod privileges;
mod process;
pub mod rootfs;
mod seccomp;
pub mod session;
pub mod share;
mod spec;
mod stdio;
mod stream;
mod sys;
mod user;

pub use error::{Error, Result};
