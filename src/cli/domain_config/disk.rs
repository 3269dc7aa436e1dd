//! Disk specifications (xl-disk-configuration(5)): `key=value` parameters, and
//! positional ones: target, format, vdev, access. Raw disks only, since every
//! other format needs a QEMU.

use std::path::PathBuf;

use super::{to_path, utf8};

/// A disk of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// A file or a block device.
    pub target: PathBuf,
    /// Its name in the guest, for instance `xvda`.
    pub vdev: String,
    /// `access`; as in xl, the default is yes.
    pub writable: bool,
    /// Another hotplug program than vxn's own.
    pub script: Option<PathBuf>,
}

/// What was given so far.
#[derive(Default)]
struct Spec {
    target: Option<PathBuf>,
    format: bool,
    vdev: Option<String>,
    writable: Option<bool>,
    script: Option<PathBuf>,
}

impl Disk {
    /// Reads one specification.
    pub fn parse(spec: &[u8]) -> Result<Disk, String> {
        let mut disk = Spec::default();
        let mut rest = spec;
        loop {
            rest = rest.trim_ascii_start();
            if rest.is_empty() {
                break;
            }
            // The target is last, and may have commas in it.
            if let Some(target) = rest.strip_prefix(b"target=") {
                disk.set_target(target)?;
                break;
            }
            let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            disk.parameter(&rest[..end])?;
            rest = rest.get(end + 1..).unwrap_or_default();
        }
        Ok(Disk {
            target: disk.target.ok_or("target is missing")?,
            vdev: disk.vdev.ok_or("vdev is missing")?,
            writable: disk.writable.unwrap_or(true),
            script: disk.script,
        })
    }
}

impl Spec {
    fn parameter(&mut self, parameter: &[u8]) -> Result<(), String> {
        let equals = parameter.iter().position(|byte| *byte == b'=');
        let Some(equals) = equals else { return self.positional(parameter) };
        let (key, value) = (&parameter[..equals], &parameter[equals + 1..]);
        match key {
            b"format" => self.set_format(value),
            b"vdev" => self.set_vdev(value),
            b"access" => self.set_access(value),
            b"script" => once(&mut self.script, "script", to_path(value)?),
            b"backendtype" => match value {
                b"phy" => Ok(()),
                _ => Err(unsupported("backendtype", value, "phy")),
            },
            b"devtype" => match value {
                b"disk" => Ok(()),
                _ => Err(unsupported("devtype", value, "disk")),
            },
            _ => Err(unsupported(
                "parameter",
                key,
                "format, vdev, access, script, backendtype, devtype, target",
            )),
        }
    }

    /// Whatever comes first and is not given yet: target, format, vdev, access.
    fn positional(&mut self, value: &[u8]) -> Result<(), String> {
        if self.target.is_none() {
            self.set_prefixed_target(value)
        } else if !self.format {
            self.set_format(value)
        } else if self.vdev.is_none() {
            self.set_vdev(value)
        } else if self.writable.is_none() {
            self.set_access(value)
        } else {
            Err(format!("{} is one parameter too many", quoted(value)))
        }
    }

    /// `phy:`, `file:` and `raw:` of old say that it is raw, then no format follows.
    fn set_prefixed_target(&mut self, value: &[u8]) -> Result<(), String> {
        for prefix in [&b"phy:"[..], b"file:", b"raw:"] {
            if let Some(target) = value.strip_prefix(prefix) {
                self.format = true;
                return self.set_target(target);
            }
        }
        match value.iter().position(|byte| *byte == b':') {
            Some(colon) if !value.starts_with(b"/") => {
                Err(unsupported("prefix", &value[..colon], "phy, file, raw"))
            }
            _ => self.set_target(value),
        }
    }

    fn set_target(&mut self, value: &[u8]) -> Result<(), String> {
        once(&mut self.target, "target", to_path(value).map_err(|what| format!("target {what}"))?)
    }

    fn set_format(&mut self, value: &[u8]) -> Result<(), String> {
        self.format = true;
        match value {
            b"raw" | b"" => Ok(()),
            _ => Err(unsupported("format", value, "raw")),
        }
    }

    fn set_vdev(&mut self, value: &[u8]) -> Result<(), String> {
        let name = utf8(value)?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(unsupported("vdev", value, "xvda, xvdb, …"));
        }
        once(&mut self.vdev, "vdev", name)
    }

    fn set_access(&mut self, value: &[u8]) -> Result<(), String> {
        let writable = match value {
            b"w" | b"rw" | b"" => true,
            b"r" | b"ro" => false,
            _ => return Err(unsupported("access", value, "r, ro, w, rw")),
        };
        once(&mut self.writable, "access", writable)
    }
}

fn once<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), String> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(format!("{name} is given twice")),
    }
}

fn unsupported(what: &str, value: &[u8], known: &str) -> String {
    format!("{what} {} is not supported (known: {known})", quoted(value))
}

fn quoted(value: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(value))
}
