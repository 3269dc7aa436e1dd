//! docker's profiles, which podman's are too: OCI's rules, each perhaps for some
//! architectures, capabilities or kernels only. Pure.

use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSyscall,
};
use serde::Deserialize;
use vxn_proto::Privileges;

/// The oldest kernel that a guest can have: vxn-init needs openat2(2).
const KERNEL: (u32, u32) = (5, 6);

/// The guest's architecture, this host's, in the words that rules have for it.
const ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };

/// The same in the words that lists of architectures have for it.
pub(super) const NATIVE: Arch =
    if cfg!(target_arch = "aarch64") { Arch::ScmpArchAarch64 } else { Arch::ScmpArchX86_64 };

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    default_action: LinuxSeccompAction,
    default_errno_ret: Option<u32>,
    /// podman's other word for the number.
    default_errno: Option<String>,
    architectures: Option<Vec<Arch>>,
    arch_map: Option<Vec<Family>>,
    flags: Option<Vec<LinuxSeccompFilterFlag>>,
    listener_path: Option<String>,
    syscalls: Option<Vec<Rule>>,
}

/// An architecture, and those whose programs its kernels run too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: Arch,
    sub_architectures: Option<Vec<Arch>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    names: Option<Vec<String>>,
    /// The old form, of one name.
    name: Option<String>,
    action: LinuxSeccompAction,
    errno_ret: Option<u32>,
    /// podman's other word for the number.
    errno: Option<String>,
    args: Option<Vec<LinuxSeccompArg>>,
    includes: Option<Condition>,
    excludes: Option<Condition>,
}

/// Whom a rule is for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Condition {
    arches: Option<Vec<String>>,
    caps: Option<Vec<String>>,
    min_kernel: Option<String>,
}

impl Profile {
    /// What of it is for the processes of a guest that may do what `privileges` say.
    ///
    /// # Errors
    /// It contradicts itself, or asks for what nobody can know before the guest runs.
    pub fn resolve(self, privileges: &Privileges) -> Result<LinuxSeccomp, String> {
        check_errno(self.default_errno_ret, self.default_errno.as_deref())?;
        let architectures = architectures(self.architectures, self.arch_map)?;
        let mut syscalls = Vec::new();
        for rule in self.syscalls.unwrap_or_default() {
            if rule.applies(privileges)? {
                syscalls.push(rule.syscall()?);
            }
        }
        let mut resolved = LinuxSeccomp::default();
        resolved
            .set_default_action(self.default_action)
            .set_default_errno_ret(self.default_errno_ret)
            .set_architectures(Some(architectures))
            .set_flags(self.flags)
            .set_listener_path(self.listener_path.map(Into::into))
            .set_syscalls(Some(syscalls));
        Ok(resolved)
    }
}

/// docker's either or.
fn architectures(
    list: Option<Vec<Arch>>,
    families: Option<Vec<Family>>,
) -> Result<Vec<Arch>, String> {
    let (list, families) = (list.unwrap_or_default(), families.unwrap_or_default());
    if !list.is_empty() && !families.is_empty() {
        return Err("both 'architectures' and 'archMap' are specified in the seccomp profile, \
                    use either 'architectures' or 'archMap'"
            .to_owned());
    }
    let own = families.into_iter().find(|family| family.architecture == NATIVE);
    Ok(own.map_or(list, |family| {
        let others = family.sub_architectures.unwrap_or_default();
        std::iter::once(family.architecture).chain(others).collect()
    }))
}

/// A name alone would be EPERM to whoever reads numbers.
fn check_errno(number: Option<u32>, name: Option<&str>) -> Result<(), String> {
    match (number, name) {
        (None, Some(name)) if !name.is_empty() => {
            Err(format!("the error {name} has no number: say it with errnoRet or defaultErrnoRet"))
        }
        _ => Ok(()),
    }
}

impl Rule {
    fn applies(&self, privileges: &Privileges) -> Result<bool, String> {
        let any = |list: &Option<Vec<String>>, what: &dyn Fn(&String) -> bool| {
            list.as_ref().is_some_and(|list| list.iter().any(what))
        };
        let here = |arch: &String| arch == ARCHITECTURE;
        if let Some(without) = &self.excludes {
            if any(&without.arches, &here)
                || any(&without.caps, &|name| privileges.grants(name))
                || without.min_kernel.as_deref().map_or(Ok(false), every_guest_has)?
            {
                return Ok(false);
            }
        }
        let Some(with) = &self.includes else { return Ok(true) };
        let elsewhere =
            with.arches.as_ref().is_some_and(|list| !list.is_empty()) && !any(&with.arches, &here);
        let less = any(&with.caps, &|name| !privileges.grants(name));
        Ok(!elsewhere && !less && with.min_kernel.as_deref().map_or(Ok(true), every_guest_has)?)
    }

    fn syscall(self) -> Result<LinuxSyscall, String> {
        let Rule { names, name, action, errno_ret, errno, args, .. } = self;
        check_errno(errno_ret, errno.as_deref())?;
        let names = match (name.filter(|name| !name.is_empty()), names.unwrap_or_default()) {
            (None, names) => names,
            (Some(name), names) if names.is_empty() => vec![name],
            _ => {
                return Err("both 'name' and 'names' are specified in the seccomp profile, use \
                            either 'name' or 'names'"
                    .to_owned());
            }
        };
        let mut syscall = LinuxSyscall::default();
        syscall.set_names(names).set_action(action).set_errno_ret(errno_ret).set_args(args);
        Ok(syscall)
    }
}

/// Whether every guest's kernel is of this version at least. Which one it will be is not
/// known when the profile is read.
fn every_guest_has(version: &str) -> Result<bool, String> {
    let numbers = version
        .split_once('.')
        .and_then(|(major, minor)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?)));
    match numbers {
        Some(numbers) if numbers <= KERNEL => Ok(true),
        Some(_) => Err(format!(
            "minKernel {version} is newer than {}.{}, the oldest that a guest may have",
            KERNEL.0, KERNEL.1
        )),
        None => Err(format!("minKernel {version:?} is no version such as 4.8")),
    }
}

#[cfg(test)]
#[path = "profile/tests.rs"]
mod tests;
