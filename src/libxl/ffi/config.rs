//! `libxl_domain_config`, filled from our own.
#![expect(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

use xen_sys::{
    LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY, LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART,
    LIBXL_ACTION_ON_SHUTDOWN_DESTROY, LIBXL_ACTION_ON_SHUTDOWN_PRESERVE,
    LIBXL_ACTION_ON_SHUTDOWN_RESTART, LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME,
    LIBXL_DOMAIN_TYPE_PV, LIBXL_DOMAIN_TYPE_PVH, libxl_action_on_shutdown, libxl_defbool_set,
    libxl_domain_build_info_init_type, libxl_domain_config, libxl_domain_config_dispose,
    libxl_domain_config_init, libxl_domain_create_new, libxl_domain_need_memory, libxl_domain_type,
};

use super::alloc::{optional_path, path, string, zeroed};
use super::device::{fill_disk, fill_nic, init_disk, init_nic};
use super::share::fill_shares;
use super::{RawCtx, check, scheduling};
use crate::libxl::{Action, Code, DomId, DomainConfig, Error, GuestType};

/// libxl's word for "none yet" (`INVALID_DOMID`).
const NO_DOMAIN: u32 = u32::MAX;

/// Owns a `libxl_domain_config` and all that it points to.
pub struct RawConfig(Box<libxl_domain_config>);

impl RawConfig {
    pub fn new(config: &DomainConfig) -> Result<RawConfig, Error> {
        let mut raw = Box::new(MaybeUninit::uninit());
        // SAFETY: the function initialises all of it.
        unsafe { libxl_domain_config_init(raw.as_mut_ptr()) };
        // SAFETY: initialised. (From here on `Drop` disposes of it, also when only
        // part of it is filled: what is not filled is null.)
        let mut raw = RawConfig(unsafe { raw.assume_init() });
        raw.fill_create_info(config)?;
        raw.fill_build_info(config)?;
        raw.fill_devices(config)?;
        raw.0.on_poweroff = action(config.on_poweroff);
        raw.0.on_reboot = action(config.on_reboot);
        raw.0.on_watchdog = action(config.on_crash);
        raw.0.on_crash = action(config.on_crash);
        Ok(raw)
    }

    fn fill_create_info(&mut self, config: &DomainConfig) -> Result<(), Error> {
        let info = &mut self.0.c_info;
        info.type_ = domain_type(config.guest_type);
        info.name = string("name", config.name.as_bytes())?;
        info.uuid.uuid = config.uuid.0; // libxl has no default for it
        if !config.xsdata.is_empty() {
            // Keys and values in turn, ended by a null.
            info.xsdata = zeroed(config.xsdata.len() * 2 + 1);
            let texts = config.xsdata.iter().flat_map(|(key, value)| [key, value]);
            for (i, text) in texts.enumerate() {
                let text = string("xenstore data", text.as_bytes())?;
                // SAFETY: room for two per pair; the null of the end is kept.
                unsafe { *info.xsdata.add(i) = text };
            }
        }
        Ok(())
    }

    fn fill_build_info(&mut self, config: &DomainConfig) -> Result<(), Error> {
        let info = &mut self.0.b_info;
        // SAFETY: initialised, and its type was not set yet.
        unsafe { libxl_domain_build_info_init_type(info, domain_type(config.guest_type)) };
        let vcpus = u16::try_from(config.vcpus).unwrap_or(u16::MAX);
        info.max_vcpus = vcpus.into();
        // Or only the first is online.
        info.avail_vcpus = scheduling::bits(&(0..vcpus).collect());
        info.max_memkb = config.memory_kib;
        info.target_memkb = config.memory_kib; // less would mean populate-on-demand
        scheduling::fill(info, &config.scheduling, vcpus);
        // SAFETY: initialised. A claim makes "not enough memory" an early error.
        unsafe { libxl_defbool_set(&mut info.claim_mode, true) };
        info.kernel = path("path of the kernel", &config.kernel)?;
        info.ramdisk = optional_path("path of the RAM disk", config.ramdisk.as_deref())?;
        info.cmdline = string("command line", config.cmdline.as_bytes())?;
        Ok(())
    }

    fn fill_devices(&mut self, config: &DomainConfig) -> Result<(), Error> {
        let raw = &mut *self.0;
        raw.disks = zeroed(config.disks.len());
        for (i, disk) in config.disks.iter().enumerate() {
            // SAFETY: room for all; the count says how many are initialised.
            let raw_disk = unsafe { &mut *raw.disks.add(i) };
            init_disk(raw_disk);
            raw.num_disks += 1;
            fill_disk(raw_disk, disk)?;
        }
        raw.nics = zeroed(config.nics.len());
        for (i, nic) in config.nics.iter().enumerate() {
            // SAFETY: as above.
            let raw_nic = unsafe { &mut *raw.nics.add(i) };
            init_nic(raw_nic);
            raw.num_nics += 1;
            fill_nic(raw_nic, nic)?;
        }
        config.shares.as_ref().map_or(Ok(()), |shares| fill_shares(raw, shares))
    }

    /// Creates the domain. A failure may leave a domain behind: the second value.
    pub fn create(&mut self, ctx: &RawCtx) -> Result<DomId, (Code, Option<DomId>)> {
        let mut domid = NO_DOMAIN;
        // SAFETY: the configuration is complete and lives until this synchronous
        // call (no `ao_how`) is over; libxl fills in defaults with malloc'd memory.
        let rc = unsafe {
            libxl_domain_create_new(
                ctx.as_ptr(),
                &mut *self.0,
                &mut domid,
                ptr::null(),
                ptr::null(),
            )
        };
        let domid = (domid != NO_DOMAIN && domid != 0).then_some(DomId(domid));
        match (check(rc), domid) {
            (Ok(()), Some(domid)) => Ok(domid),
            (Ok(()), None) => Err((Code::FAIL, None)),
            (Err(code), domid) => Err((code, domid)),
        }
    }

    pub fn need_memory_kib(&mut self, ctx: &RawCtx) -> Result<u64, Code> {
        let mut need = 0;
        // SAFETY: as in `create`.
        let rc =
            unsafe { libxl_domain_need_memory(ctx.as_ptr(), &mut *self.0, NO_DOMAIN, &mut need) };
        check(rc).map(|()| need)
    }
}

impl Drop for RawConfig {
    fn drop(&mut self) {
        // SAFETY: initialised; all that it points to came from malloc.
        unsafe { libxl_domain_config_dispose(&mut *self.0) };
    }
}

fn domain_type(guest_type: GuestType) -> libxl_domain_type {
    match guest_type {
        GuestType::Pv => LIBXL_DOMAIN_TYPE_PV,
        GuestType::Pvh => LIBXL_DOMAIN_TYPE_PVH,
    }
}

fn action(action: Action) -> libxl_action_on_shutdown {
    match action {
        Action::Destroy => LIBXL_ACTION_ON_SHUTDOWN_DESTROY,
        Action::Restart => LIBXL_ACTION_ON_SHUTDOWN_RESTART,
        Action::RenameRestart => LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME,
        Action::Preserve => LIBXL_ACTION_ON_SHUTDOWN_PRESERVE,
        Action::CoredumpDestroy => LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_DESTROY,
        Action::CoredumpRestart => LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::ffi::CStr;
    use std::path::PathBuf;

    use super::*;
    use crate::libxl::{Disk, Mac, Nic, Scheduling, Uuid};

    fn config() -> DomainConfig {
        DomainConfig {
            name: "test".into(),
            uuid: Uuid([7; 16]),
            guest_type: GuestType::Pvh,
            memory_kib: 65536,
            vcpus: 11,
            scheduling: Scheduling { weight: Some(512), cap: None, cpus: BTreeSet::from([1, 9]) },
            kernel: "/kernel".into(),
            ramdisk: None,
            cmdline: "a=b".into(),
            disks: vec![
                Disk { path: "/one".into(), vdev: "xvda".into(), writable: false, script: None },
                Disk {
                    path: "/two".into(),
                    vdev: "xvdb".into(),
                    writable: true,
                    script: Some(PathBuf::from("/script")),
                },
            ],
            nics: vec![Nic {
                mac: Some(Mac([1; 6])),
                bridge: Some("br0".into()),
                ..Nic::default()
            }],
            shares: None,
            xsdata: vec![("vxn/uuid".into(), "x".into()), ("k".into(), "v".into())],
            on_poweroff: Action::Preserve,
            on_reboot: Action::Restart,
            on_crash: Action::Destroy,
        }
    }

    fn c_str<'a>(text: *const std::ffi::c_char) -> &'a CStr {
        assert!(!text.is_null());
        // SAFETY: made by `string`, and the test keeps it alive.
        unsafe { CStr::from_ptr(text) }
    }

    /// `valgrind --leak-check=full` on this test tells whether dispose frees it all.
    #[test]
    fn a_configuration_is_filled() {
        let raw = RawConfig::new(&config()).expect("no NUL");
        let (create, build) = (&raw.0.c_info, &raw.0.b_info);
        assert_eq!(c_str(create.name), c"test");
        assert_eq!((create.type_, build.type_), (LIBXL_DOMAIN_TYPE_PVH, LIBXL_DOMAIN_TYPE_PVH));
        assert_eq!((build.max_memkb, build.target_memkb), (65536, 65536));
        assert_eq!((build.max_vcpus, build.avail_vcpus.size), (11, 2));
        // SAFETY: two bytes, and five pointers of which the last is null.
        let (bits, xsdata) = unsafe {
            let bits = std::slice::from_raw_parts(build.avail_vcpus.map, 2);
            (bits, std::slice::from_raw_parts(create.xsdata, 5))
        };
        assert_eq!(bits, [0xff, 0x07]);
        assert_eq!((build.sched_params.weight, build.sched_params.cap), (512, -1));
        // SAFETY: as many as the count says, each with two bytes.
        let affinity = unsafe {
            let maps = build.num_vcpu_hard_affinity as usize;
            let maps = std::slice::from_raw_parts(build.vcpu_hard_affinity, maps);
            maps.iter().map(|m| std::slice::from_raw_parts(m.map, 2)).collect::<Vec<_>>()
        };
        assert_eq!(affinity, [[0x02, 0x02]; 11]);
        assert_eq!((c_str(xsdata[2]), xsdata[4]), (c"k", ptr::null_mut()));
        // SAFETY: as many as the counts say.
        let (disks, nics) = unsafe {
            let disks = std::slice::from_raw_parts(raw.0.disks, raw.0.num_disks as usize);
            (disks, std::slice::from_raw_parts(raw.0.nics, raw.0.num_nics as usize))
        };
        assert_eq!((disks.len(), nics.len()), (2, 1));
        assert_eq!((disks[0].readwrite, disks[1].readwrite), (0, 1));
        assert_eq!(c_str(disks[1].script), c"/script");
        assert_eq!((c_str(nics[0].bridge), nics[0].mac), (c"br0", [1; 6]));
    }

    #[test]
    fn a_nul_byte_is_refused_wherever_it_is() {
        let with = |change: fn(&mut DomainConfig)| {
            let mut config = config();
            change(&mut config);
            match RawConfig::new(&config) {
                Err(Error::Nul { field }) => field,
                _ => panic!("a NUL byte was taken"),
            }
        };
        assert_eq!(with(|c| c.name = "a\0".into()), "name");
        assert_eq!(with(|c| c.cmdline = "a\0".into()), "command line");
        assert_eq!(with(|c| c.disks[1].vdev = "a\0".into()), "name of the disk");
        assert_eq!(with(|c| c.xsdata[1].1 = "a\0".into()), "xenstore data");
    }
}
