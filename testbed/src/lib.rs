//! Boots Xen with a Debian Dom0 under QEMU and runs commands in it.
//!
//! ```text
//! Dom0Image, images  built once per recipe, in the cache    dom0_image, images, mmdebstrap, cache
//! Install            this tree's vxn as it is installed     install, initramfs
//!     │
//! Dom0               one QEMU: Xen, Dom0, a connection      dom0, qemu, ssh, logs
//!     │
//! Command            args, env, stdin → Output              command, capture, pty
//! HostState          what a command has left behind         host_state
//! Witness            what there is to see of a failure      witness
//! Schemas            what others read of ours has to obey   schemas
//! ```
//!
//! Only software emulation is used, so it runs wherever QEMU runs. A [`Dom0`]
//! writes to its disk freely: nothing of that outlives it. Tests get theirs from
//! [`shared()`].

pub mod apt;
mod cache;
pub mod capture;
pub mod command;
pub mod dom0;
pub mod dom0_image;
mod emulator;
pub mod erofs;
pub mod host_state;
pub mod images;
pub mod initramfs;
pub mod install;
pub mod logs;
mod mmdebstrap;
pub mod pty;
mod qemu;
pub mod schemas;
pub mod shared;
mod ssh;
pub mod tool;
mod witness;

pub use command::{Command, Output, Running};
pub use dom0::{Dom0, Options};
pub use dom0_image::Dom0Image;
pub use host_state::HostState;
pub use pty::Pty;
pub use shared::shared;
pub use witness::Witness;
