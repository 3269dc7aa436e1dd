//! The container: one pid namespace, whose PID 1 is a reaper of ours, and the
//! processes that libcontainer starts in it.
//!
//! Because the container's process is not PID 1, signals have their default
//! effect on it and its orphans are reaped, as with docker's `--init`. The
//! first process is the main one: when it ends, everything else is killed.

use std::{
    ffi::{CStr, CString},
    fs,
    path::{Path, PathBuf},
};

use libcontainer::{
    container::builder::ContainerBuilder,
    oci_spec::runtime::{Process as OciProcess, Spec},
    syscall::syscall::SyscallType,
};
use nix::{sched::CloneFlags, sys::signal::Signal, unistd::Pid};
use vxn_proto::{Container as Settings, FileRequest, ProcessSpec, Share, StartFailure};

use crate::{
    Error, Result,
    error::Context,
    executor::{Program, Report},
    files::{self, View},
    freezer, limits,
    oom::OomKills,
    rootfs::Rootfs,
    spec,
    stdio::{self, Ends},
    sys,
    user::User,
};

/// libcontainer's name for the container.
const ID: &str = "container";

/// The container of this guest.
#[derive(Debug)]
pub struct Container {
    root: Rootfs,
    hostname: String,
    settings: Settings,
    /// What it has of the host, by number.
    shares: Vec<Share>,
    /// Directory of ours for libcontainer's bundle and state.
    state: PathBuf,
    reaper: Pid,
    oom_kills: OomKills,
    /// The work for which its processes stand still.
    frozen_for: Option<Pid>,
    /// The first process.
    main: Option<Pid>,
    /// Whether the namespace, and so every process, is gone.
    gone: bool,
}

/// Why a process did not start.
#[derive(Debug)]
pub struct Failure {
    /// What kind of failure.
    pub reason: StartFailure,
    /// What failed, on what, why.
    pub error: Error,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { reason: StartFailure::Other, error }
    }
}

/// What libcontainer needs to know about a process.
struct Plan {
    process: OciProcess,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Container {
    /// A container without processes whose root file system is mounted at
    /// `root`; `state` is an empty directory outside of it.
    ///
    /// # Errors
    /// The kernel's, on the namespace and the files.
    pub fn new(root: &Path, state: &Path, hostname: &str, settings: Settings) -> Result<Self> {
        let root = Rootfs::open(root)?;
        fs::create_dir_all(state).context(format_args!("create {}", state.display()))?;
        let reaper = sys::fork(CloneFlags::CLONE_NEWPID, || {
            // Its death is everybody's. Without the right to say so it is at least small.
            let _ = fs::write("/proc/self/oom_score_adj", "-1000");
            sys::idle()
        })
        .context("create a pid namespace")?;
        let (hostname, state) = (hostname.to_owned(), state.to_owned());
        let oom_kills = OomKills::watch();
        let shares = Vec::new();
        let (frozen_for, main, gone) = (None, None, false);
        Ok(Self {
            root,
            hostname,
            settings,
            shares,
            state,
            reaper,
            oom_kills,
            frozen_for,
            main,
            gone,
        })
    }

    /// Whether the kernel has killed one of its processes for want of memory.
    pub fn oom_killed(&self) -> bool {
        self.oom_kills.any()
    }

    /// The root file system.
    pub fn rootfs(&self) -> &Rootfs {
        &self.root
    }

    /// Has these shares, which are mounted, from the first process on.
    pub fn share(&mut self, shares: Vec<Share>) {
        self.shares = shares;
    }

    /// Starts a process and returns once it executes its program.
    ///
    /// # Errors
    /// With the reason that decides the exit code.
    pub fn start(&mut self, spec: &ProcessSpec) -> std::result::Result<(Pid, Ends), Failure> {
        if self.gone {
            return Err(Error::Other("the container has ended".into()).into());
        }
        if self.frozen_for.is_some() {
            // libcontainer would wait for a process that stands still, and all with it.
            let why = "the container stands still for a commit: try again when that is done";
            return Err(Error::Other(why.into()).into());
        }
        let plan = self.plan(spec)?;
        let name = plan.args.first().cloned().unwrap_or_default();
        let report = Report::new()?;
        let program = Program::new(plan.args, plan.env, self.settings.seccomp.clone(), &report);
        let builder = self.builder()?.with_executor(program);
        let (builder, pending) = stdio::prepare(spec, builder, &self.state)?;
        if self.main.is_some() {
            return match self.join(builder, &plan.process) {
                Ok(pid) => started(report, &name, pid, pending.complete()?),
                // libcontainer sees only that the process ended; the report says why.
                Err(error) => Err(failed(report, &name, error)),
            };
        }
        let config = self.configuration(plan.process)?;
        config.save(self.state.join("config.json")).map_err(|error| explain(&error))?;
        limits::set_outer_sysctls(&self.settings.limits)?;
        let started = self.create(builder).and_then(|(pid, mut container)| {
            if let Some(pids) = self.settings.limits.pids {
                limits::limit_pids(spec::CGROUP, pids)?;
            }
            let ends = pending.complete()?;
            container.start().map_err(|error| explain(&error))?;
            started(report, &name, pid, ends)
        });
        match &started {
            Ok((pid, _)) => self.main = Some(*pid),
            Err(_) => self.forget()?,
        }
        started
    }

    /// Starts work on its files.
    ///
    /// # Errors
    /// The kernel's.
    pub fn work_on_files(&mut self, request: &FileRequest) -> Result<(Pid, Ends)> {
        let freeze = matches!(request, FileRequest::Layer { freeze: true });
        if freeze && self.frozen_for.is_some() {
            return Err(Error::Other("the container stands still for another commit".into()));
        }
        if self.main.is_none() {
            self.make_mount_points()?;
        }
        if freeze {
            freezer::set(true)?;
        }
        let (root, read_only) = (self.root.path(), self.settings.read_only);
        let started = files::start(request, View { root, read_only, shares: &self.shares });
        if freeze {
            match &started {
                Ok((pid, _)) => self.frozen_for = Some(*pid),
                Err(_) => freezer::set(false)?,
            }
        }
        started
    }

    /// Notes that a process has been waited for; the end of the main process
    /// is the end of all.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reaped(&mut self, pid: Pid) -> Result<()> {
        if self.frozen_for.take_if(|work| *work == pid).is_some() {
            freezer::set(false)?;
        }
        if pid == self.reaper {
            self.gone = true;
        } else if self.main == Some(pid) {
            self.kill()?;
        }
        Ok(())
    }

    /// Kills every process of the container, by killing PID 1 of its namespace.
    ///
    /// # Errors
    /// The kernel's.
    pub fn kill(&mut self) -> Result<()> {
        if self.gone {
            return Ok(());
        }
        sys::kill(self.reaper, Signal::SIGKILL as u8).context("kill the container")
    }

    /// Whether the end of a process is complete: nobody who counts writes to
    /// its outputs any more. With the main process, all others go first.
    pub fn drained(&self, pid: Pid) -> bool {
        self.gone || self.main != Some(pid)
    }

    /// Resolves user, working directory, arguments and environment in the image.
    fn plan(&self, spec: &ProcessSpec) -> Result<Plan> {
        let passwd = self.root.read("/etc/passwd")?;
        let group = self.root.read("/etc/group")?;
        let mut user = User::find(&spec.user, &passwd, &group)?;
        user.join(&self.settings.groups, &group)?;
        let cwd = spec::working_directory(&spec.cwd)?;
        self.root.create_dir_all(&cwd)?;
        Ok(Plan {
            process: spec::process(spec, &cwd, &user, &self.settings)?,
            args: spec::arguments(spec)?,
            env: spec::environment(spec, &self.hostname, &user)?,
        })
    }

    /// Makes what is mounted on, where it is missing: over a root that cannot be written
    /// to, nobody could make it later.
    fn make_mount_points(&self) -> Result<()> {
        for tmpfs in &self.settings.tmpfs {
            self.root.create_dir_all(Path::new(&tmpfs.path))?;
        }
        for share in &self.shares {
            let path = Path::new(&share.path);
            if share.directory {
                self.root.create_dir_all(path)?;
            } else {
                self.root.create_file(path)?;
            }
        }
        Ok(())
    }

    /// The whole configuration, with its first process.
    fn configuration(&self, process: OciProcess) -> Result<Spec> {
        self.make_mount_points()?;
        let (root, hostname) = (self.root.path(), self.hostname.as_str());
        spec::container(root, hostname, (&self.settings, &self.shares), process, self.reaper)
    }

    fn builder(&self) -> Result<ContainerBuilder> {
        ContainerBuilder::new(ID.into(), SyscallType::default())
            .with_root_path(self.state.join("containers"))
            .map_err(|error| explain(&error))
    }

    /// Sets the container up, with its first process waiting in it.
    fn create(
        &self,
        builder: ContainerBuilder,
    ) -> std::result::Result<(Pid, libcontainer::container::Container), Failure> {
        let container = builder
            .as_init(&self.state)
            .with_systemd(false)
            .with_detach(true)
            .build()
            .map_err(|error| explain(&error))?;
        let pid = container.pid().map_or(0, |pid| pid.as_raw());
        Ok((Pid::from_raw(pid), container))
    }

    /// Starts a process next to the main one.
    fn join(&self, builder: ContainerBuilder, process: &OciProcess) -> Result<Pid> {
        let path = self.state.join("process.json");
        let json = serde_json::to_vec(process).map_err(|error| explain(&error))?;
        fs::write(&path, json).context(format_args!("write {}", path.display()))?;
        let tenant = builder.as_tenant().with_process(Some(path)).with_detach(true);
        let pid = tenant.build().map_err(|error| explain(&error))?;
        Ok(Pid::from_raw(pid.as_raw()))
    }

    /// Removes what libcontainer knows of a main process that did not start.
    fn forget(&self) -> Result<()> {
        let dir = self.state.join("containers").join(ID);
        match fs::remove_dir_all(&dir) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            removed => removed.context(format_args!("remove {}", dir.display())),
        }
    }
}

/// Waits until the program runs.
fn started(
    report: Report,
    name: &CStr,
    pid: Pid,
    ends: Ends,
) -> std::result::Result<(Pid, Ends), Failure> {
    match report.wait(name)? {
        None => Ok((pid, ends)),
        Some((reason, words)) => Err(Failure { reason, error: Error::Other(words) }),
    }
}

/// Why the process that libcontainer gave up on did not start.
fn failed(report: Report, name: &CStr, error: Error) -> Failure {
    match report.so_far(name) {
        Some((reason, words)) => Failure { reason, error: Error::Other(words) },
        None => error.into(),
    }
}

/// libcontainer's error with all its causes.
fn explain(error: &(impl std::error::Error + 'static)) -> Error {
    let mut text = format!("cannot set the container up: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    Error::Other(text)
}
