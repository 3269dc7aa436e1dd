//! The last step into the container: execve(2) with the very bytes that the
//! host sent, and a report when it fails.

use std::{
    collections::HashMap,
    ffi::{CStr, CString},
    fs::File,
    io::Read,
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
};

use libcontainer::{
    oci_spec::runtime::Spec,
    workload::{Executor, ExecutorError, ExecutorSetEnvsError, ExecutorValidationError},
};
use nix::{
    errno::Errno,
    fcntl::OFlag,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::{self, AccessFlags},
};
use vxn_proto::{Seccomp, StartFailure};

use crate::{
    Result,
    error::{Context, errno},
    seccomp, sys,
};

/// What to execute. libcontainer clones it into the container's process, where
/// it replaces the UTF-8 arguments of the OCI configuration.
#[derive(Clone, Debug)]
pub struct Program {
    args: Vec<CString>,
    env: Vec<CString>,
    filter: Option<Seccomp>,
    /// Where a [`Trouble`] goes when nothing could be executed; closes on exec.
    report: RawFd,
}

/// Why nothing was executed; of a report, an error number, and a negative one if it is
/// the filter's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Program(Errno),
    Filter(Errno),
}

/// Our end of the report.
#[derive(Debug)]
pub struct Report {
    read: OwnedFd,
    write: OwnedFd,
}

impl Program {
    /// Takes what to execute; neither may be empty or hold a NUL, which the
    /// caller has checked.
    pub fn new(
        args: Vec<CString>,
        env: Vec<CString>,
        filter: Option<Seccomp>,
        report: &Report,
    ) -> Self {
        Self { args, env, filter, report: report.write.as_raw_fd() }
    }

    /// Becomes the program, or says why not.
    fn execute(&self) -> Trouble {
        let Some(name) = self.args.first() else { return Trouble::Program(Errno::EINVAL) };
        let files = candidates(name, &self.env);
        if let Some(filter) = &self.filter {
            // What is missing is found out before the filter can forbid to report it.
            let reachable = |file: &CStr| unistd::access(file, AccessFlags::X_OK);
            if let Some(error) = first(&files, reachable) {
                return Trouble::Program(error);
            }
            if let Err(error) = seccomp::load(filter) {
                return Trouble::Filter(error);
            }
        }
        let execute = |file: &CStr| unistd::execve(file, &self.args, &self.env).map(drop);
        Trouble::Program(first(&files, execute).unwrap_or(Errno::EINVAL))
    }
}

impl Executor for Program {
    fn exec(&self, _: &Spec) -> std::result::Result<(), ExecutorError> {
        let reset = sys::reset_signals().err().map(Trouble::Program);
        let trouble = reset.unwrap_or_else(|| self.execute());
        let sent = sys::write_inherited(self.report, &trouble.number().to_le_bytes());
        Err(ExecutorError::Other(format!("{trouble:?}, reported: {sent:?}")))
    }

    /// Nothing to do: a program that cannot be executed is reported by `exec`.
    fn validate(&self, _: &Spec) -> std::result::Result<(), ExecutorValidationError> {
        Ok(())
    }

    /// Nothing to do: `execve` gets the environment.
    fn setup_envs(
        &self,
        _: HashMap<String, String>,
    ) -> std::result::Result<(), ExecutorSetEnvsError> {
        Ok(())
    }
}

impl Trouble {
    fn number(self) -> i32 {
        match self {
            Self::Program(error) => error as i32,
            Self::Filter(error) => -(error as i32),
        }
    }

    fn of(number: i32) -> Self {
        match number {
            ..0 => Self::Filter(Errno::from_raw(number.saturating_neg())),
            _ => Self::Program(Errno::from_raw(number)),
        }
    }
}

impl Report {
    /// A fresh pipe.
    pub fn new() -> Result<Self> {
        let (read, write) =
            unistd::pipe2(OFlag::O_CLOEXEC).context("create the pipe for a start's report")?;
        Ok(Self { read, write })
    }

    /// Waits until the program runs or has failed to: the pipe closes on exec
    /// and when the process ends.
    pub fn wait(self, name: &CStr) -> Result<Option<(StartFailure, String)>> {
        drop(self.write);
        let mut report = Vec::new();
        File::from(self.read)
            .take(4)
            .read_to_end(&mut report)
            .context("read the report of a start")?;
        Ok(told(name, &report))
    }

    /// What has been reported, without a wait: whoever failed to execute reported
    /// it before libcontainer heard of it, and anyone else may keep the pipe open.
    pub fn so_far(self, name: &CStr) -> Option<(StartFailure, String)> {
        let mut report = [0; 4];
        let mut ready = [PollFd::new(self.read.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::ZERO).ok().filter(|count| *count > 0)?;
        let count = File::from(self.read).read(&mut report).ok()?;
        told(name, &report[..count])
    }
}

/// What a report says; an empty one says nothing.
fn told(name: &CStr, report: &[u8]) -> Option<(StartFailure, String)> {
    let number = <[u8; 4]>::try_from(report).map(i32::from_le_bytes).ok()?;
    Some(match Trouble::of(number) {
        Trouble::Program(error) => explain(name, error),
        Trouble::Filter(error) => (StartFailure::Other, unfiltered(error)),
    })
}

/// Why the filter is not in force; so nothing runs.
fn unfiltered(error: Errno) -> String {
    let why = match error {
        Errno::ENOSYS => "the guest's kernel has none: it needs CONFIG_SECCOMP_FILTER".to_owned(),
        error => errno(error as i32).to_string(),
    };
    format!("cannot load the seccomp filter: {why}")
}

/// The words that runc has for a failed start.
fn explain(name: &CStr, error: Errno) -> (StartFailure, String) {
    let shown = name.to_string_lossy();
    let slash = name.to_bytes().contains(&b'/');
    match error {
        Errno::ENOENT if !slash => (
            StartFailure::NotFound,
            format!("exec: \"{shown}\": executable file not found in $PATH"),
        ),
        Errno::ENOENT | Errno::ENOTDIR => {
            (StartFailure::NotFound, format!("exec: \"{shown}\": no such file or directory"))
        }
        Errno::EACCES => {
            (StartFailure::NotExecutable, format!("exec: \"{shown}\": permission denied"))
        }
        Errno::ENOEXEC => {
            (StartFailure::NotExecutable, format!("exec: \"{shown}\": exec format error"))
        }
        error => {
            (StartFailure::NotExecutable, format!("exec: \"{shown}\": {}", errno(error as i32)))
        }
    }
}

/// Tries what execvp(3) would try, without its shell: the error, if `attempt` fails with
/// each file.
fn first(files: &[CString], attempt: impl Fn(&CStr) -> nix::Result<()>) -> Option<Errno> {
    let mut worst = Errno::ENOENT;
    for file in files {
        match attempt(file) {
            Ok(()) => return None,
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            Err(Errno::EACCES) => worst = Errno::EACCES,
            Err(error) => return Some(error),
        }
    }
    Some(worst)
}

/// The files that `name` may mean: itself with a slash, else one in each
/// directory of `PATH`.
fn candidates(name: &CStr, env: &[CString]) -> Vec<CString> {
    let name = name.to_bytes();
    if name.contains(&b'/') {
        return CString::new(name).into_iter().collect();
    }
    let path = env.iter().rev().find_map(|entry| entry.to_bytes().strip_prefix(b"PATH="));
    path.unwrap_or_default()
        .split(|byte| *byte == b':')
        .filter(|_| !name.is_empty())
        .filter_map(|dir| {
            let dir = if dir.is_empty() { b"." } else { dir };
            CString::new([dir, b"/", name].concat()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(list: &[&str]) -> Vec<CString> {
        list.iter().map(|text| CString::new(*text).unwrap()).collect()
    }

    #[test]
    fn a_name_without_a_slash_is_looked_up_in_path() {
        let env = strings(&["PATH=/old", "X=1", "PATH=/bin:/usr/bin::"]);
        assert_eq!(candidates(c"ls", &env), strings(&["/bin/ls", "/usr/bin/ls", "./ls", "./ls"]));
        assert_eq!(candidates(c"./ls", &env), strings(&["./ls"]));
        assert!(candidates(c"", &env).is_empty());
    }

    #[test]
    fn failures_are_told_apart() {
        let (reason, words) = explain(c"foo", Errno::ENOENT);
        assert_eq!(reason, StartFailure::NotFound);
        assert_eq!(words, "exec: \"foo\": executable file not found in $PATH");
        assert_eq!(explain(c"/foo", Errno::ENOENT).0, StartFailure::NotFound);
        assert_eq!(explain(c"foo", Errno::EACCES).0, StartFailure::NotExecutable);
        assert_eq!(explain(c"foo", Errno::ENOEXEC).0, StartFailure::NotExecutable);
        assert_eq!(explain(c"foo", Errno::E2BIG).0, StartFailure::NotExecutable);
    }

    #[test]
    fn a_filter_that_fails_is_no_program_that_fails() {
        for trouble in [Trouble::Program(Errno::EACCES), Trouble::Filter(Errno::EACCES)] {
            assert_eq!(Trouble::of(trouble.number()), trouble);
        }
        let report = Trouble::Filter(Errno::ENOSYS).number().to_le_bytes();
        let (reason, words) = told(c"foo", &report).unwrap();
        assert_eq!(reason, StartFailure::Other);
        assert!(words.ends_with("it needs CONFIG_SECCOMP_FILTER"), "{words}");
    }

    #[test]
    fn the_first_file_that_does_is_the_last_one_tried() {
        let files = strings(&["/a", "/b", "/c"]);
        let of = |errors: [Option<Errno>; 3]| {
            let at = |file: &CStr| errors[files.iter().position(|one| **one == *file).unwrap()];
            first(&files, |file| at(file).map_or(Ok(()), Err))
        };
        let (no, denied, bad) = (Some(Errno::ENOENT), Some(Errno::EACCES), Some(Errno::ENOEXEC));
        assert_eq!(of([no, None, bad]), None);
        assert_eq!(of([no, denied, no]), denied);
        assert_eq!(of([denied, bad, None]), bad);
        assert_eq!(of([no, no, no]), no);
    }

    #[test]
    fn a_report_that_closes_empty_is_a_start() {
        assert_eq!(Report::new().unwrap().wait(c"x").unwrap(), None);
    }

    #[test]
    fn what_is_reported_so_far_needs_no_end() {
        assert_eq!(Report::new().unwrap().so_far(c"x"), None);
        let report = Report::new().unwrap();
        let kept = report.write.try_clone().unwrap();
        unistd::write(&kept, &(Errno::ENOENT as i32).to_le_bytes()).unwrap();
        assert_eq!(report.so_far(c"x").unwrap().0, StartFailure::NotFound);
    }
}
