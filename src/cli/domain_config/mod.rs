//! Domain configuration files in xl's format (xl.cfg(5)), as far as a container
//! host needs it: the keys in [`KEYS`], and no others.
//!
//! `syntax` reads assignments, this page gives them their meaning, `disk` and
//! `vif` read the specification strings inside them. Nothing here knows libxl.

mod disk;
mod syntax;
mod vif;

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use disk::Disk;
pub use vif::Vif;

use syntax::{Assignment, Value};

/// The keys that are understood.
pub const KEYS: [&str; 13] = [
    "name",
    "type",
    "memory",
    "vcpus",
    "kernel",
    "ramdisk",
    "extra",
    "disk",
    "vif",
    "serial",
    "on_poweroff",
    "on_reboot",
    "on_crash",
];

/// The largest configuration file that is read, in bytes.
pub const MAX_SIZE: usize = 1 << 20;

/// A domain as its configuration file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainFile {
    /// `name`
    pub name: String,
    /// `type`; as in xl, PV is the default on x86, and PVH elsewhere.
    pub kind: Kind,
    /// `memory`, MiB.
    pub memory_mib: u32,
    /// `vcpus`, 1 if not given.
    pub vcpus: u32,
    /// `kernel`, compressed or not.
    pub kernel: PathBuf,
    /// `ramdisk`
    pub ramdisk: Option<PathBuf>,
    /// `extra`: the kernel's command line.
    pub extra: String,
    /// `disk`
    pub disks: Vec<Disk>,
    /// `vif`
    pub vifs: Vec<Vif>,
    /// `on_poweroff`, `destroy` if not given.
    pub on_poweroff: OnEnd,
    /// `on_reboot`, `restart` if not given.
    pub on_reboot: OnEnd,
    /// `on_crash`, `destroy` if not given.
    pub on_crash: OnEnd,
}

/// The kind of a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Paravirtualised.
    Pv,
    /// Hardware virtualised, without emulated devices.
    Pvh,
}

/// What to do with a domain that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnEnd {
    /// Remove it.
    Destroy,
    /// Remove it, and create it anew.
    Restart,
    /// Leave it for inspection.
    Preserve,
}

/// What is wrong with a configuration, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Error {
    source_name: String,
    /// From 1; None when something is missing altogether.
    line: Option<usize>,
    what: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.source_name, self.what),
            None => write!(f, "{}: {}", self.source_name, self.what),
        }
    }
}

/// Reads the configuration `text` of the file `name`, and then `overrides`, each
/// an assignment as a line of the file would have it.
pub fn parse(name: &str, text: &[u8], overrides: &[Vec<u8>]) -> Result<DomainFile, Error> {
    let in_file = |(line, what): (usize, String)| Error {
        source_name: name.to_owned(),
        line: Some(line),
        what,
    };
    let mut settings = Settings::default();
    settings.read(text).map_err(in_file)?;
    for text in overrides {
        settings.read(text).map_err(|(_, what)| Error {
            source_name: String::from_utf8_lossy(text).into_owned(),
            line: None,
            what,
        })?;
    }
    settings.finish().map_err(|what| Error { source_name: name.to_owned(), line: None, what })
}

/// The assignments so far.
#[derive(Default)]
struct Settings {
    name: Option<String>,
    kind: Option<Kind>,
    memory_mib: Option<u32>,
    vcpus: Option<u32>,
    kernel: Option<PathBuf>,
    ramdisk: Option<PathBuf>,
    extra: Option<String>,
    disks: Vec<Disk>,
    vifs: Vec<Vif>,
    on_poweroff: Option<OnEnd>,
    on_reboot: Option<OnEnd>,
    on_crash: Option<OnEnd>,
}

/// A line, and what is wrong on it.
type LineError = (usize, String);

impl Settings {
    fn read(&mut self, text: &[u8]) -> Result<(), LineError> {
        if text.len() > MAX_SIZE {
            return Err((1, format!("more than {MAX_SIZE} bytes")));
        }
        for assignment in syntax::parse(text)? {
            self.set(&assignment)?;
        }
        Ok(())
    }

    /// A later assignment replaces an earlier one, as in xl.
    fn set(&mut self, Assignment { line, key, value }: &Assignment) -> Result<(), LineError> {
        let at = |what| (*line, format!("{key}: {what}"));
        match key.as_str() {
            "name" => self.name = Some(domain_name(value).map_err(at)?),
            "type" => self.kind = Some(kind(value).map_err(at)?),
            "memory" => self.memory_mib = Some(number(value).map_err(at)?),
            "vcpus" => self.vcpus = Some(number(value).map_err(at)?),
            "kernel" => self.kernel = Some(path(value).map_err(at)?),
            "ramdisk" => self.ramdisk = Some(path(value).map_err(at)?),
            "extra" => self.extra = Some(text(value).map_err(at)?),
            "disk" => self.disks = list(*line, key, value, Disk::parse)?,
            "vif" => self.vifs = list(*line, key, value, Vif::parse)?,
            "serial" => serial(value).map_err(at)?,
            "on_poweroff" => self.on_poweroff = Some(on_end(value).map_err(at)?),
            "on_reboot" => self.on_reboot = Some(on_end(value).map_err(at)?),
            "on_crash" => self.on_crash = Some(on_end(value).map_err(at)?),
            _ => {
                let known = KEYS.join(", ");
                return Err((*line, format!("unknown key {key:?} (known: {known})")));
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<DomainFile, String> {
        let missing = |key: &str| format!("{key} is missing");
        Ok(DomainFile {
            name: self.name.ok_or_else(|| missing("name"))?,
            kind: self.kind.unwrap_or(if cfg!(target_arch = "x86_64") {
                Kind::Pv
            } else {
                Kind::Pvh
            }),
            memory_mib: self.memory_mib.ok_or_else(|| missing("memory"))?,
            vcpus: self.vcpus.unwrap_or(1),
            kernel: self.kernel.ok_or_else(|| missing("kernel"))?,
            ramdisk: self.ramdisk,
            extra: self.extra.unwrap_or_default(),
            disks: self.disks,
            vifs: self.vifs,
            on_poweroff: self.on_poweroff.unwrap_or(OnEnd::Destroy),
            on_reboot: self.on_reboot.unwrap_or(OnEnd::Restart),
            on_crash: self.on_crash.unwrap_or(OnEnd::Destroy),
        })
    }
}

fn bytes(value: &Value) -> Result<&[u8], String> {
    match value {
        Value::Atom(bytes) => Ok(bytes),
        Value::List(_) => Err("a string is needed here, not a list".to_owned()),
    }
}

/// A string that a C library can take.
fn text(value: &Value) -> Result<String, String> {
    utf8(bytes(value)?)
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) if text.contains('\0') => Err("has a NUL in it".to_owned()),
        Ok(text) => Ok(text),
        Err(_) => Err("is not UTF-8".to_owned()),
    }
}

/// A path, in whatever bytes the file system has it.
fn path(value: &Value) -> Result<PathBuf, String> {
    to_path(bytes(value)?)
}

fn to_path(bytes: &[u8]) -> Result<PathBuf, String> {
    if bytes.is_empty() || bytes.contains(&0) {
        return Err("needs a path".to_owned());
    }
    Ok(OsString::from_vec(bytes.to_vec()).into())
}

/// libxl takes a name of digits for a domain id, and a slash for a directory.
fn domain_name(value: &Value) -> Result<String, String> {
    let name = text(value)?;
    let plain = !name.contains('/') && !name.contains(char::is_control);
    match !name.is_empty() && plain && !name.chars().all(|c| c.is_ascii_digit()) {
        true => Ok(name),
        false => Err(format!("{name:?} is no name (not empty, no slash, not digits only)")),
    }
}

fn kind(value: &Value) -> Result<Kind, String> {
    match text(value)?.as_str() {
        "pv" => Ok(Kind::Pv),
        "pvh" => Ok(Kind::Pvh),
        other => Err(format!("{other:?} is not supported (known: pv, pvh)")),
    }
}

/// Decimal, or as in C with `0x` or `0` before it; at least 1.
fn number<T: TryFrom<u64>>(value: &Value) -> Result<T, String> {
    let text = text(value)?;
    let parsed = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if text.starts_with('0') => u64::from_str_radix(&text, 8),
        None => text.parse(),
    };
    let number = parsed.ok().filter(|n| *n > 0).and_then(|n| T::try_from(n).ok());
    number.ok_or_else(|| format!("{text:?} is not a positive number"))
}

/// PV and PVH guests have Xen's own console, which is a pseudo terminal.
fn serial(value: &Value) -> Result<(), String> {
    match text(value)?.as_str() {
        "pty" => Ok(()),
        other => Err(format!("{other:?} is not supported (known: pty)")),
    }
}

fn on_end(value: &Value) -> Result<OnEnd, String> {
    match text(value)?.as_str() {
        "destroy" => Ok(OnEnd::Destroy),
        "restart" => Ok(OnEnd::Restart),
        "preserve" => Ok(OnEnd::Preserve),
        other => Err(format!("{other:?} is not supported (known: destroy, restart, preserve)")),
    }
}

/// A list of specification strings, each on a line of its own.
fn list<T>(
    line: usize,
    key: &str,
    value: &Value,
    parse: impl Fn(&[u8]) -> Result<T, String>,
) -> Result<Vec<T>, LineError> {
    match value {
        Value::List(items) => items
            .iter()
            .map(|(line, spec)| parse(spec).map_err(|what| (*line, format!("{key}: {what}"))))
            .collect(),
        Value::Atom(_) => Err((line, format!("{key}: a list is needed here: {key} = [ '…' ]"))),
    }
}

#[cfg(test)]
mod tests;
