//! System calls that are newer than a profile. A profile that forbids what it does not name
//! would answer EPERM to a program that only asks whether the kernel has a call, where the
//! program goes another way on ENOSYS alone: glibc does so all the time. As runc has it,
//! calls with a number beyond all those that the profile names do not exist.

use libseccomp::ScmpSyscall;
use oci_spec::runtime::{Arch, LinuxSeccomp, LinuxSeccompAction};
use vxn_proto::Instruction;

use super::compile::{architectures, library_arch};

/// `SECCOMP_RET_ERRNO` of linux/seccomp.h, with ENOSYS.
const NO_SUCH_CALL: u32 = 0x0005_0000 | libc::ENOSYS as u32;

/// `__X32_SYSCALL_BIT` of asm/unistd.h: x32 shares x86-64's number, and counts from here.
const X32: u32 = 1 << 30;

/// Where `struct seccomp_data` of linux/seccomp.h has the call's number and the architecture.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;

/// Instructions for one architecture.
const BLOCK: u8 = 5;

/// What comes before the program of `rules`: it ends with ENOSYS or goes on there.
pub(super) fn prefix(rules: &LinuxSeccomp) -> Vec<Instruction> {
    use LinuxSeccompAction::{ScmpActAllow, ScmpActLog, ScmpActTrace};
    let open = matches!(rules.default_action(), ScmpActAllow | ScmpActLog | ScmpActTrace);
    if open || rules.default_errno_ret() == Some(libc::ENOSYS as u32) {
        return Vec::new();
    }
    // x32's calls are left to the program: kernels have them no more.
    let own = architectures(rules).into_iter().filter(|arch| *arch != Arch::ScmpArchX32);
    let last: Vec<_> = own.filter_map(|arch| Some((arch, last(rules, arch)?))).collect();
    let blocks = last.iter().rev().zip(0..).map(|((arch, last), after)| {
        let end = BLOCK * after;
        [
            // The block's four others are skipped if it is another architecture.
            Instruction { code: JUMP_IF_EQUAL, jt: 0, jf: BLOCK - 1, k: *arch as u32 },
            load(NUMBER),
            Instruction { code: JUMP_IF_SET, jt: end + 2, jf: 0, k: X32 },
            Instruction { code: JUMP_IF_GREATER, jt: 0, jf: end + 1, k: *last },
            Instruction { code: RETURN, jt: 0, jf: 0, k: NO_SUCH_CALL },
        ]
    });
    let mut blocks: Vec<_> = blocks.collect();
    blocks.reverse();
    let start = (!blocks.is_empty()).then(|| load(ARCHITECTURE));
    start.into_iter().chain(blocks.into_iter().flatten()).collect()
}

/// The highest number that the rules name.
fn last(rules: &LinuxSeccomp, arch: Arch) -> Option<u32> {
    let names = rules.syscalls().iter().flatten().flat_map(|rule| rule.names());
    let number = |name: &String| {
        let call = ScmpSyscall::from_name_by_arch(name, library_arch(arch)).ok()?;
        // libseccomp has negative ones for what an architecture does not have.
        u32::try_from(call.as_raw_syscall()).ok()
    };
    names.filter_map(number).max()
}

// Codes of linux/bpf_common.h: LD|W|ABS, JMP|JEQ|K, JMP|JGT|K, JMP|JSET|K, RET|K.
const LOAD: u16 = 0x20;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER: u16 = 0x25;
const JUMP_IF_SET: u16 = 0x45;
const RETURN: u16 = 0x06;

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k: offset }
}
