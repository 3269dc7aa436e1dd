//! Boots Xen with a Debian Dom0 under QEMU and runs commands in it.
//!
//! ```text
//! Dom0Image  built once per recipe, in the cache      dom0_image, cache, apt
//!     │
//! Dom0       one QEMU: Xen, Dom0, an ssh connection   dom0, qemu, ssh, logs
//!     │
//! Command    args, env, stdin → Output                command, capture
//! ```
//!
//! Only software emulation is used, so it runs wherever QEMU runs. A [`Dom0`]
//! writes to its disk freely: nothing of that outlives it.

pub mod apt;
mod cache;
pub mod capture;
pub mod command;
pub mod dom0;
pub mod dom0_image;
pub mod initramfs;
pub mod logs;
mod qemu;
mod ssh;
pub mod tool;

pub use command::{Command, Output, Running};
pub use dom0::{Dom0, Options};
pub use dom0_image::Dom0Image;
