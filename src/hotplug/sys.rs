//! The ioctls of loop devices (`linux/loop.h`), which nix does not have.
#![expect(unsafe_code, reason = "ioctl(2) is untyped")]

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `LO_FLAGS_READ_ONLY`.
pub(super) const READ_ONLY: u32 = 1;
/// `LO_FLAGS_DIRECT_IO`.
pub(super) const DIRECT_IO: u32 = 16;

/// `LO_NAME_SIZE`: bytes of a name, the final NUL included.
pub(super) const NAME_SIZE: usize = 64;

/// `struct loop_info64`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(super) struct LoopInfo {
    /// `st_dev` of the backing file.
    pub device: u64,
    /// `st_ino` of the backing file.
    pub inode: u64,
    /// `st_rdev` of the backing file, if that is a block device.
    pub rdevice: u64,
    pub offset: u64,
    pub size_limit: u64,
    pub number: u32,
    encrypt_type: u32,
    encrypt_key_size: u32,
    pub flags: u32,
    pub file_name: [u8; NAME_SIZE],
    crypt_name: [u8; NAME_SIZE],
    encrypt_key: [u8; 32],
    init: [u64; 2],
}

impl LoopInfo {
    pub const ZERO: LoopInfo = LoopInfo {
        device: 0,
        inode: 0,
        rdevice: 0,
        offset: 0,
        size_limit: 0,
        number: 0,
        encrypt_type: 0,
        encrypt_key_size: 0,
        flags: 0,
        file_name: [0; NAME_SIZE],
        crypt_name: [0; NAME_SIZE],
        encrypt_key: [0; 32],
        init: [0; 2],
    };
}

/// `struct loop_config`.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

mod raw {
    nix::ioctl_none_bad!(clear, 0x4c01);
    nix::ioctl_read_bad!(status, 0x4c05, super::LoopInfo);
    nix::ioctl_write_ptr_bad!(configure, 0x4c0a, super::LoopConfig);
    nix::ioctl_none_bad!(get_free, 0x4c82);
}

/// `LOOP_CTL_GET_FREE`: the number of a loop device that is free just now.
pub(super) fn free_number(control: &File) -> nix::Result<u32> {
    // SAFETY: the ioctl takes no argument; on another kind of file it only fails.
    let number = unsafe { raw::get_free(control.as_raw_fd()) }?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// `LOOP_CONFIGURE`: binds `device` to `backing`, which it then holds open itself.
/// `EBUSY` when somebody else bound it first.
pub(super) fn configure(device: &File, backing: &File, info: LoopInfo) -> nix::Result<()> {
    let fd = u32::try_from(backing.as_raw_fd()).map_err(|_| Errno::EBADF)?;
    let config = LoopConfig { fd, block_size: 0, info, reserved: [0; 8] };
    // SAFETY: `config` is a `struct loop_config` that lives through the call, which
    // only reads it.
    unsafe { raw::configure(device.as_raw_fd(), &config) }.map(drop)
}

/// `LOOP_GET_STATUS64`; `ENXIO` when `device` is not bound.
pub(super) fn status(device: &File) -> nix::Result<LoopInfo> {
    let mut info = LoopInfo::ZERO;
    // SAFETY: `info` is a `struct loop_info64` that lives through the call, which
    // fills it; every bit pattern is a valid `LoopInfo`.
    unsafe { raw::status(device.as_raw_fd(), &mut info) }.map(|_| info)
}

/// `LOOP_CLR_FD`: unbinds `device`, at its last close if it is in use.
pub(super) fn clear(device: &File) -> nix::Result<()> {
    // SAFETY: the ioctl takes no argument; on another kind of file it only fails.
    unsafe { raw::clear(device.as_raw_fd()) }.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_have_the_sizes_of_the_header() {
        assert_eq!(size_of::<LoopInfo>(), 232);
        assert_eq!(size_of::<LoopConfig>(), 304);
    }
}
