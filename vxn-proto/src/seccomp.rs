//! What system calls the processes of a container may make.

use serde::{Deserialize, Serialize};

/// A seccomp filter for every process of a container, compiled for the guest's
/// architecture, which is the host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seccomp {
    /// `SECCOMP_FILTER_FLAG_*` of seccomp(2).
    pub flags: u32,
    /// The program; the kernel takes 1 to [`MAX_PROGRAM`] instructions.
    pub program: Vec<Instruction>,
}

/// `BPF_MAXINSNS` of linux/bpf_common.h.
pub const MAX_PROGRAM: usize = 4096;

/// `struct sock_filter` of linux/filter.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// What to do, `BPF_*`.
    pub code: u16,
    /// Instructions to skip when the condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    /// A number, by `code`.
    pub k: u32,
}

impl Instruction {
    /// Bytes of an instruction in memory.
    pub const BYTES: usize = 8;

    /// As it is in memory on a little endian machine.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let ([a, b], [c, d, e, f]) = (self.code.to_le_bytes(), self.k.to_le_bytes());
        [a, b, self.jt, self.jf, c, d, e, f]
    }

    /// From memory of a little endian machine.
    pub fn from_bytes([a, b, jt, jf, c, d, e, f]: [u8; Self::BYTES]) -> Self {
        let (code, k) = (u16::from_le_bytes([a, b]), u32::from_le_bytes([c, d, e, f]));
        Self { code, jt, jf, k }
    }
}
