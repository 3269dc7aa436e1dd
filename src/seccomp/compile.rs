//! OCI's rules as the kernel's program, by libseccomp; what runc does differently from
//! what libseccomp does by itself is done here as runc does it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek};

use libseccomp::error::SeccompError;
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use nix::sys::memfd::{MFdFlags, memfd_create};
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};
use vxn_proto::{Instruction, MAX_PROGRAM};

use super::filter::instructions;
use super::profile::NATIVE;
use super::{Error, Filter, Result, newer};

/// The actions that a rule may have.
pub const ACTIONS: [LinuxSeccompAction; 8] = [
    LinuxSeccompAction::ScmpActAllow,
    LinuxSeccompAction::ScmpActErrno,
    LinuxSeccompAction::ScmpActKill,
    LinuxSeccompAction::ScmpActKillProcess,
    LinuxSeccompAction::ScmpActKillThread,
    LinuxSeccompAction::ScmpActLog,
    LinuxSeccompAction::ScmpActTrace,
    LinuxSeccompAction::ScmpActTrap,
];

/// How an argument may be compared.
pub const OPERATORS: [LinuxSeccompOperator; 7] = [
    LinuxSeccompOperator::ScmpCmpEq,
    LinuxSeccompOperator::ScmpCmpGe,
    LinuxSeccompOperator::ScmpCmpGt,
    LinuxSeccompOperator::ScmpCmpLe,
    LinuxSeccompOperator::ScmpCmpLt,
    LinuxSeccompOperator::ScmpCmpMaskedEq,
    LinuxSeccompOperator::ScmpCmpNe,
];

/// The architectures whose programs a guest's kernel may run.
#[cfg(target_arch = "aarch64")]
pub const ARCHITECTURES: &[Arch] = &[Arch::ScmpArchAarch64, Arch::ScmpArchArm];
/// The architectures whose programs a guest's kernel may run.
#[cfg(not(target_arch = "aarch64"))]
pub const ARCHITECTURES: &[Arch] = &[Arch::ScmpArchX86, Arch::ScmpArchX86_64, Arch::ScmpArchX32];

/// The flags that mean something here. A process has one thread when it loads its filter, so
/// that TSYNC is as good as done.
pub const FLAGS: [LinuxSeccompFilterFlag; 3] = [
    LinuxSeccompFilterFlag::SeccompFilterFlagLog,
    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow,
    LinuxSeccompFilterFlag::SeccompFilterFlagTsync,
];

/// All that are understood.
pub const KNOWN_FLAGS: [LinuxSeccompFilterFlag; 4] =
    [FLAGS[0], FLAGS[1], FLAGS[2], LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv];

/// `SECCOMP_FILTER_FLAG_LOG` and `SECCOMP_FILTER_FLAG_SPEC_ALLOW` of linux/seccomp.h.
const LOG: u32 = 1 << 1;
const SPEC_ALLOW: u32 = 1 << 2;

/// Arguments of a system call.
const ARGUMENTS: usize = 6;

/// The highest error number that libseccomp takes; the kernel's has one more.
const MAX_ERRNO: u32 = 4094;

/// From so many rules on, a program that searches by halves is worth it; runc's number.
const MANY: usize = 32;

/// libseccomp's level with all actions but notifications. By itself it would look what this
/// host's kernel has, and not the guest's.
const API: u32 = 3;

const LISTENER: &str = "the listener is a process of the host, which does not see the guest's";

/// Compiles a configuration's rules.
///
/// # Errors
/// What a guest cannot do is refused by name; the rest is libseccomp's.
pub fn compile(rules: &LinuxSeccomp) -> Result<Filter> {
    check(rules)?;
    let flags = flags(rules)?;
    libseccomp::set_api(API).map_err(library("choose its level"))?;
    let default = action(rules.default_action(), rules.default_errno_ret())?;
    let mut context = ScmpFilterContext::new(default).map_err(library("make a filter"))?;
    let syscalls = rules.syscalls().as_deref().unwrap_or_default();
    for arch in architectures(rules).into_iter().filter(|arch| *arch != NATIVE) {
        context.add_arch(library_arch(arch)).map_err(library("add an architecture"))?;
    }
    if syscalls.len() > MANY {
        context.set_ctl_optimize(2).map_err(library("order the rules"))?;
    }
    for syscall in syscalls {
        let action = action(syscall.action(), syscall.errno_ret())?;
        // libseccomp refuses a rule that says nothing new.
        if action != default {
            syscall.names().iter().try_for_each(|name| add(&mut context, action, name, syscall))?;
        }
    }
    let mut program = newer::prefix(rules);
    program.extend(export(&context).map_err(Error::Export)?);
    if program.len() > MAX_PROGRAM {
        return Err(Error::Long(program.len()));
    }
    Ok(Filter { profile: String::new(), flags, program })
}

fn library(what: impl Into<String>) -> impl FnOnce(SeccompError) -> Error {
    let what = what.into();
    |source| Error::Library { what, source }
}

fn refused(what: impl Into<String>, why: &'static str) -> Error {
    Error::Refused { what: what.into(), why }
}

/// Refuses what libseccomp would have no good words for.
fn check(rules: &LinuxSeccomp) -> Result<()> {
    let syscalls = || rules.syscalls().iter().flatten();
    let actions = std::iter::once(rules.default_action()).chain(syscalls().map(|one| one.action()));
    let numbers =
        std::iter::once(rules.default_errno_ret()).chain(syscalls().map(|s| s.errno_ret()));
    if actions.into_iter().any(|action| action == LinuxSeccompAction::ScmpActNotify) {
        return Err(refused("SCMP_ACT_NOTIFY", LISTENER));
    }
    if rules.listener_path().is_some() {
        return Err(refused("listenerPath", LISTENER));
    }
    if let Some(number) = numbers.flatten().find(|number| *number > MAX_ERRNO) {
        return Err(refused(format!("the error number {number}"), "there are 4094"));
    }
    let mut arguments = syscalls().flat_map(|one| one.args().iter().flatten());
    match arguments.find(|argument| argument.index() >= ARGUMENTS) {
        Some(wrong) => {
            let what = format!("the argument of index {}", wrong.index());
            Err(refused(what, "a system call has six, from 0"))
        }
        None => Ok(()),
    }
}

/// As runc, filters do not slow down all of a process's loads unless they are asked to.
fn flags(rules: &LinuxSeccomp) -> Result<u32> {
    let Some(flags) = rules.flags() else { return Ok(SPEC_ALLOW) };
    flags.iter().try_fold(0, |sum, flag| match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => Ok(sum | LOG),
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => Ok(sum | SPEC_ALLOW),
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => Ok(sum),
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            Err(refused("SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", LISTENER))
        }
    })
}

fn action(action: LinuxSeccompAction, number: Option<u32>) -> Result<ScmpAction> {
    // Checked to be in range, and EPERM unless said.
    let number = number.and_then(|number| number.try_into().ok()).unwrap_or(1_u16);
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => {
            ScmpAction::KillThread
        }
        LinuxSeccompAction::ScmpActKillProcess => ScmpAction::KillProcess,
        LinuxSeccompAction::ScmpActTrap => ScmpAction::Trap,
        LinuxSeccompAction::ScmpActErrno => ScmpAction::Errno(number.into()),
        LinuxSeccompAction::ScmpActTrace => ScmpAction::Trace(number),
        LinuxSeccompAction::ScmpActAllow => ScmpAction::Allow,
        LinuxSeccompAction::ScmpActLog => ScmpAction::Log,
        LinuxSeccompAction::ScmpActNotify => return Err(refused("SCMP_ACT_NOTIFY", LISTENER)),
    })
}

/// Adds a rule. A name that libseccomp does not know is a system call of another kernel; as
/// runc has it, the rule is left out.
fn add(
    context: &mut ScmpFilterContext,
    action: ScmpAction,
    name: &str,
    rule: &LinuxSyscall,
) -> Result<()> {
    let Ok(syscall) = ScmpSyscall::from_name(name) else {
        tracing::debug!("seccomp: unknown system call {name}");
        return Ok(());
    };
    let arguments = rule.args().as_deref().unwrap_or_default();
    let indices: BTreeSet<_> = arguments.iter().map(LinuxSeccompArg::index).collect();
    let comparisons: Vec<_> = arguments.iter().map(comparison).collect();
    // libseccomp compares an argument once in a rule. As runc has it, several comparisons of
    // the same argument make all of them rules of their own, of which any will do.
    let rules: Vec<&[ScmpArgCompare]> = if indices.len() == arguments.len() {
        vec![&comparisons]
    } else {
        comparisons.chunks(1).collect()
    };
    for comparisons in rules {
        let added = context.add_rule_conditional(action, syscall, comparisons);
        added.map_err(library(format!("add the rule for {name}")))?;
    }
    Ok(())
}

fn comparison(argument: &LinuxSeccompArg) -> ScmpArgCompare {
    let (value, second) = (argument.value(), argument.value_two().unwrap_or_default());
    // docker's value is the mask, and the second one what is left of the argument.
    let (operator, value) = match argument.op() {
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, value),
        LinuxSeccompOperator::ScmpCmpLt => (ScmpCompareOp::Less, value),
        LinuxSeccompOperator::ScmpCmpLe => (ScmpCompareOp::LessOrEqual, value),
        LinuxSeccompOperator::ScmpCmpEq => (ScmpCompareOp::Equal, value),
        LinuxSeccompOperator::ScmpCmpGe => (ScmpCompareOp::GreaterEqual, value),
        LinuxSeccompOperator::ScmpCmpGt => (ScmpCompareOp::Greater, value),
        LinuxSeccompOperator::ScmpCmpMaskedEq => (ScmpCompareOp::MaskedEqual(value), second),
    };
    ScmpArgCompare::new(argument.index() as u32, operator, value)
}

/// Whose system calls are judged by the rules: the guest's own, always, and those that are
/// listed, as far as its kernel may run their programs. A call from any other kills.
pub(super) fn architectures(rules: &LinuxSeccomp) -> Vec<Arch> {
    let listed = |arch: &Arch| rules.architectures().iter().flatten().any(|one| one == arch);
    let all = ARCHITECTURES.iter().copied();
    all.filter(|arch| *arch == NATIVE || listed(arch)).collect()
}

/// libseccomp's word for one of [`ARCHITECTURES`].
pub(super) fn library_arch(arch: Arch) -> ScmpArch {
    match arch {
        Arch::ScmpArchX86 => ScmpArch::X86,
        Arch::ScmpArchX86_64 => ScmpArch::X8664,
        Arch::ScmpArchX32 => ScmpArch::X32,
        Arch::ScmpArchArm => ScmpArch::Arm,
        Arch::ScmpArchAarch64 => ScmpArch::Aarch64,
        _ => ScmpArch::Native,
    }
}

/// The program of a filter.
fn export(context: &ScmpFilterContext) -> io::Result<Vec<Instruction>> {
    let mut file = File::from(memfd_create(c"seccomp", MFdFlags::MFD_CLOEXEC)?);
    context.export_bpf(&file).map_err(io::Error::other)?;
    file.rewind()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    instructions(&bytes).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

#[cfg(test)]
mod tests;
