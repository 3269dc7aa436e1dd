//! Boots Xen with a Debian Dom0 under QEMU and runs commands in it.

pub mod initramfs;
