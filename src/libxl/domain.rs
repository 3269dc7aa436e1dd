//! Domains: made, run, looked at, destroyed.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Code, Ctx, DomId, DomainConfig, Error, GuestType, Result, Uuid, ffi};
use crate::xenstore::paths;

/// How long to wait for somebody else who destroys the same domain. Closing a
/// backend takes libxl 10 s at worst, and a hotplug script 40 s.
const OTHER_DESTROYER: Duration = Duration::from_secs(60);

/// What a domain is and does (`libxl_dominfo`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DomainInfo {
    /// Its number.
    pub domid: DomId,
    /// Its handle in the hypervisor.
    pub uuid: Uuid,
    /// Its name; none while it is being made or is almost gone.
    pub name: Option<String>,
    /// PV or PVH as it was created; none for other types and half-made domains.
    pub guest_type: Option<GuestType>,
    /// What it does.
    pub state: DomainState,
    /// Why it ended, once `state.shutdown` is set.
    pub shutdown_reason: Option<ShutdownReason>,
    /// The memory that it has, in KiB.
    pub memory_kib: u64,
    /// The memory that it may have, in KiB.
    pub max_memory_kib: u64,
    /// Virtual CPUs that the guest's kernel runs on; one before it has started.
    pub vcpus: u32,
    /// CPU time used, in nanoseconds.
    pub cpu_time_ns: u64,
}

/// What a domain does; several at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DomainState {
    /// A CPU runs it right now.
    pub running: bool,
    /// It waits for something.
    pub blocked: bool,
    /// It is paused, as it is after its creation.
    pub paused: bool,
    /// It has ended but still has its memory and devices.
    pub shutdown: bool,
    /// It is being taken apart.
    pub dying: bool,
}

/// Why a domain ended (`libxl_shutdown_reason`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ShutdownReason {
    /// It powered itself off.
    PowerOff,
    /// It wants to be started again.
    Reboot,
    /// It is ready to be saved.
    Suspend,
    /// Its kernel gave up.
    Crash,
    /// Its watchdog fired.
    Watchdog,
    /// It wants a new kernel in the same domain.
    SoftReset,
    /// A reason that this libxl does not know.
    Unknown(i32),
}

impl fmt::Display for ShutdownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ShutdownReason::PowerOff => "power off",
            ShutdownReason::Reboot => "reboot",
            ShutdownReason::Suspend => "suspend",
            ShutdownReason::Crash => "crash",
            ShutdownReason::Watchdog => "watchdog",
            ShutdownReason::SoftReset => "soft reset",
            ShutdownReason::Unknown(number) => return write!(f, "reason {number}"),
        })
    }
}

impl Ctx {
    /// Creates a domain and leaves it paused (`libxl_domain_create_new`). What is
    /// half-built after a failure is destroyed.
    pub fn create_paused(&self, config: &DomainConfig) -> Result<DomId> {
        let mut raw = ffi::RawConfig::new(config)?;
        let mut half_built = None;
        let created = self.run(format_args!("create domain {:?}", config.name), |ctx| {
            raw.create(ctx).map_err(|(code, domid)| {
                half_built = domid;
                code
            })
        });
        if let Some(domid) = half_built {
            self.destroy_half_built(domid, config.uuid);
        }
        created
    }

    /// libxl destroys what it cannot finish, except when it was told to abort; and
    /// its own attempt may have failed. The caller gets the error of the creation.
    fn destroy_half_built(&self, domid: DomId, uuid: Uuid) {
        let result = match self.info(domid) {
            Ok(Some(info)) if info.uuid == uuid => self.destroy(domid),
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.forget(domid, uuid),
            Err(e) => Err(e),
        };
        if let Err(e) = result {
            tracing::warn!("domain {domid} is left over from a failed creation: {e}");
        }
    }

    /// Removes what libxl wrote about a domain after somebody else had destroyed it.
    fn forget(&self, domid: DomId, uuid: Uuid) -> Result<()> {
        for path in [paths::domain(domid.0), paths::libxl(domid.0), paths::vm(uuid)] {
            self.store.remove(&path)?;
        }
        Ok(())
    }

    /// Lets a domain run (`libxl_domain_unpause`).
    pub fn unpause(&self, domid: DomId) -> Result<()> {
        self.run(format_args!("unpause domain {domid}"), |ctx| ffi::unpause(ctx, domid))
    }

    /// Stops a domain's CPUs (`libxl_domain_pause`).
    pub fn pause(&self, domid: DomId) -> Result<()> {
        self.run(format_args!("pause domain {domid}"), |ctx| ffi::pause(ctx, domid))
    }

    /// Asks a domain to power off (`libxl_domain_shutdown`). Returns when it has
    /// taken note, at most 60 s later, not when it is off.
    pub fn shutdown(&self, domid: DomId) -> Result<()> {
        self.run(format_args!("shut down domain {domid}"), |ctx| ffi::shutdown(ctx, domid))
    }

    /// Gives a domain another name (`libxl_domain_rename`).
    pub fn rename(&self, domid: DomId, name: &str) -> Result<()> {
        let c_name = ffi::c_string("name", name.as_bytes())?;
        self.run(format_args!("rename domain {domid} to {name:?}"), |ctx| {
            ffi::rename(ctx, domid, &c_name)
        })
    }

    /// Writes a domain's memory to a file (`libxl_domain_core_dump`).
    pub fn core_dump(&self, domid: DomId, file: &Path) -> Result<()> {
        let c_file = ffi::c_string("path of the dump", file.as_os_str().as_bytes())?;
        self.run(format_args!("dump the memory of domain {domid}"), |ctx| {
            ffi::core_dump(ctx, domid, &c_file)
        })
    }

    /// Destroys a domain and its devices (`libxl_domain_destroy`). A domain that is
    /// gone already, or that somebody else destroys meanwhile, is success. For a
    /// moment after, the domain may still be listed as dying: until xenconsoled has
    /// let go of its console. What serves its directories has ended.
    pub fn destroy(&self, domid: DomId) -> Result<()> {
        let server = self.device_model(domid);
        self.destroy_domain(domid)?;
        if let Some(server) = server {
            super::share::wait_end(&server, domid);
        }
        Ok(())
    }

    fn destroy_domain(&self, domid: DomId) -> Result<()> {
        let destroyed =
            self.run(format_args!("destroy domain {domid}"), |ctx| ffi::destroy(ctx, domid));
        match destroyed {
            Ok(()) => Ok(()),
            Err(_) if self.is_dead(domid)? => Ok(()),
            Err(Error::Libxl { code: Code::LOCK_FAIL | Code::DOMAIN_DESTROYED, .. })
                if self.wait_until_dead(domid)? =>
            {
                Ok(())
            }
            Err(e) => Err(e),
        }
    }

    fn is_dead(&self, domid: DomId) -> Result<bool> {
        Ok(self.info(domid)?.is_none_or(|info| info.state.dying))
    }

    fn wait_until_dead(&self, domid: DomId) -> Result<bool> {
        let deadline = Instant::now() + OTHER_DESTROYER;
        let watch = self.store.watch(paths::RELEASE_DOMAIN)?;
        loop {
            if self.is_dead(domid)? {
                return Ok(true);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if watch.wait(Some(left))?.is_none() {
                return Ok(false);
            }
        }
    }

    /// All domains, Dom0 among them (`libxl_list_domain`).
    pub fn list(&self) -> Result<Vec<DomainInfo>> {
        let list = self.run(format_args!("list the domains"), ffi::list_domains)?;
        list.into_iter().map(|info| self.complete(info)).collect()
    }

    /// One domain, or `None` when there is no such domain (`libxl_domain_info`).
    pub fn info(&self, domid: DomId) -> Result<Option<DomainInfo>> {
        let info =
            self.run(format_args!("look at domain {domid}"), |ctx| {
                match ffi::domain_info(ctx, domid) {
                    Ok(info) => Ok(Some(info)),
                    Err(Code::DOMAIN_NOTFOUND) => Ok(None),
                    Err(code) => Err(code),
                }
            })?;
        info.map(|info| self.complete(info)).transpose()
    }

    /// The domain of that name, if there is one.
    pub fn info_by_name(&self, name: &str) -> Result<Option<DomainInfo>> {
        let list = self.list()?;
        Ok(list.into_iter().find(|info| info.name.as_deref() == Some(name)))
    }

    /// Adds what only xenstore knows. (libxl takes a PVH domain for an HVM one.)
    fn complete(&self, mut info: DomainInfo) -> Result<DomainInfo> {
        let name = self.store.read(&paths::name(info.domid.0))?;
        info.name = name.map(|name| String::from_utf8_lossy(&name).into_owned());
        info.guest_type = match self.store.read(&paths::libxl_type(info.domid.0))?.as_deref() {
            Some(b"pv") => Some(GuestType::Pv),
            Some(b"pvh") => Some(GuestType::Pvh),
            _ => None,
        };
        Ok(info)
    }
}
