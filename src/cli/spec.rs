//! The flags that say what a container is: those of `run` and `create`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::Args;
use nix::sys::signal::Signal;
use vxn_proto::Tmpfs;

use super::health_flags::HealthFlags;
use super::image::PullFlags;
use super::labels::LabelFlags;
use super::limits::{CpuFlags, LimitFlags};
use super::mount_flags::MountFlags;
use super::network_flags::NetworkFlags;
use super::privileges::PrivilegeFlags;
use super::refused::RefusedFlags;
use crate::config::{Memory, TypeChoice};
use crate::container::restart::RestartPolicy;
use crate::container::{Name, layer};

/// What a container is.
#[derive(Debug, Args)]
pub struct SpecArgs {
    /// Remove the container when it exits.
    #[arg(long)]
    pub rm: bool,
    /// Carry stdin to the process.
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the process a terminal.
    #[arg(short, long)]
    pub tty: bool,
    /// Set an environment variable; KEY alone takes its value from here.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    pub env: Vec<OsString>,
    /// Read environment variables from a file, one KEY=VALUE a line.
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// Working directory of the process, made when it is missing.
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<OsString>,
    /// User of the process: a name from the image or a number.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Put the processes into another group: a name from the image or a number.
    #[arg(long, value_name = "GROUP")]
    pub group_add: Vec<String>,
    /// Program to run in place of the image's; "" takes the image's away.
    #[arg(long, value_name = "PROGRAM")]
    pub entrypoint: Option<OsString>,
    /// Host name in the container.
    #[arg(short = 'h', long, value_name = "NAME", value_parser = hostname)]
    pub hostname: Option<String>,
    /// NIS domain name in the container, behind the host name in /etc/hosts.
    #[arg(long, value_name = "NAME", value_parser = domainname)]
    pub domainname: Option<String>,
    /// Memory of the DomU.
    #[arg(short, long, value_name = "SIZE")]
    pub memory: Option<Memory>,
    /// Guest type: auto, pv or pvh.
    #[arg(long = "type", value_name = "TYPE")]
    pub guest_type: Option<TypeChoice>,
    /// Guest kernel: bzImage, Image or vmlinux.
    #[arg(long, value_name = "FILE")]
    pub kernel: Option<PathBuf>,
    /// Guest initramfs, as `cargo xtask initramfs` builds it.
    #[arg(long, value_name = "FILE")]
    pub initramfs: Option<PathBuf>,
    /// Name of the container and of its DomU.
    #[arg(long)]
    pub name: Option<Name>,
    /// Kill the container after this many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    #[command(flatten)]
    pub cpu: CpuFlags,
    #[command(flatten)]
    pub limits: LimitFlags,
    #[command(flatten)]
    pub privileges: PrivilegeFlags,
    #[command(flatten)]
    pub refused: RefusedFlags,
    #[command(flatten)]
    pub labels: LabelFlags,
    /// Write the container's id to this file, which must not be there.
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<PathBuf>,
    /// Nothing to do: orphans are reaped, and signals passed on, in any case.
    #[arg(long)]
    pub init: bool,
    #[command(flatten)]
    pub network: NetworkFlags,
    #[command(flatten)]
    pub mounts: MountFlags,
    #[command(flatten)]
    pub health: HealthFlags,
    #[command(flatten, next_help_heading = None::<&'static str>)]
    pub pull: PullFlags,
    /// When to start the container again by itself: no, on-failure[:N], always
    /// or unless-stopped.
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub restart: RestartPolicy,
    /// The signal that stops the process.
    #[arg(long, value_name = "SIGNAL", value_parser = signal)]
    pub stop_signal: Option<u8>,
    /// Seconds from that signal to the kill; -1 waits for ever.
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true, value_parser = stop_timeout)]
    pub stop_timeout: Option<StopTimeout>,
    /// Most that the container may write to its root file system; it takes as much
    /// room as is written. With --rm writes go to the DomU's memory.
    #[arg(long, value_name = "SIZE", default_value_t = Memory::from_bytes(layer::DEFAULT_BYTES))]
    pub storage_size: Memory,
    /// Let nothing be written to the root file system.
    #[arg(long)]
    pub read_only: bool,
    /// Mount a file system in the DomU's memory.
    #[arg(long, value_name = "PATH[:OPTIONS]", value_parser = tmpfs)]
    pub tmpfs: Vec<Tmpfs>,
    /// How the output is kept: local or none.
    #[arg(long, value_name = "DRIVER")]
    pub log_driver: Option<String>,
    /// max-size=SIZE and max-file=N for the log.
    #[arg(long, value_name = "KEY=VALUE")]
    pub log_opt: Vec<String>,
    /// Show this help.
    #[arg(long, action = clap::ArgAction::Help)]
    help: Option<bool>,
    /// Image, then the command and its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "IMAGE")]
    pub words: Vec<OsString>,
}

fn hostname(text: &str) -> Result<String, String> {
    host_word(text, 63, "host")
}

/// The kernel keeps 64 bytes of it, see uname(2).
fn domainname(text: &str) -> Result<String, String> {
    host_word(text, 64, "domain")
}

fn host_word(text: &str, most: usize, what: &str) -> Result<String, String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    if text.is_empty() || text.len() > most || !text.bytes().all(good) {
        return Err(format!("a {what} name has 1 to {most} letters, digits, dots or dashes"));
    }
    Ok(text.to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number = f64::from_str(text).map_err(|e| e.to_string())?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|d| !d.is_zero())
        .ok_or_else(|| "a number of seconds above 0 is needed".to_owned())
}

/// How long to wait before the kill; `None` is for ever.
pub type StopTimeout = Option<u64>;

/// Seconds, -1 for ever.
pub fn stop_timeout(text: &str) -> Result<StopTimeout, String> {
    match text.parse::<i64>() {
        Ok(-1) => Ok(None),
        Ok(seconds) if seconds >= 0 => Ok(Some(seconds.unsigned_abs())),
        _ => Err("a number of seconds, or -1 to wait for ever".to_owned()),
    }
}

/// A signal by name, with or without SIG, or by number.
pub fn signal(text: &str) -> Result<u8, String> {
    let bad = || format!("{text:?} is not a signal");
    if let Ok(number) = text.parse::<u8>() {
        return if (1..=64).contains(&number) { Ok(number) } else { Err(bad()) };
    }
    let upper = text.to_ascii_uppercase();
    let name = if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let real_time = |base: u8, sign: i16, rest: &str| {
        let offset = if rest.is_empty() { 0 } else { rest.get(1..)?.parse::<i16>().ok()? };
        let number = u8::try_from(i16::from(base) + sign * offset).ok()?;
        (34..=64).contains(&number).then_some(number)
    };
    // The guest's libraries keep 32 and 33 for themselves.
    let found = match (name.strip_prefix("SIGRTMIN"), name.strip_prefix("SIGRTMAX")) {
        (Some(rest), _) => real_time(34, 1, rest),
        (_, Some(rest)) => real_time(64, -1, rest),
        _ => Signal::from_str(&name).ok().map(|signal| signal as u8),
    };
    found.ok_or_else(bad)
}

/// `PATH[:OPTION,…]`.
fn tmpfs(text: &str) -> Result<Tmpfs, String> {
    let (path, options) = text.split_once(':').unwrap_or((text, ""));
    if !path.starts_with('/') || path == "/" {
        return Err(format!("{path:?} is no absolute path to mount on"));
    }
    let options = options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
    Ok(Tmpfs { path: path.to_owned(), options })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in
            [("TERM", 15), ("sigkill", 9), ("1", 1), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
        {
            assert_eq!(signal(text), Ok(number), "{text}");
        }
        for text in ["", "0", "65", "NOSUCH", "RTMIN+99", "SIG"] {
            assert!(signal(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_tmpfs_has_a_path_and_options() {
        let full = tmpfs("/run:size=1m,mode=755").unwrap();
        assert_eq!((full.path.as_str(), full.options.len()), ("/run", 2));
        assert!(tmpfs("/tmp").unwrap().options.is_empty());
        for text in ["", "run", "/", ":size=1m"] {
            assert!(tmpfs(text).is_err(), "{text}");
        }
    }

    #[test]
    fn minus_one_waits_for_ever() {
        assert_eq!(stop_timeout("-1"), Ok(None));
        assert_eq!(stop_timeout("0"), Ok(Some(0)));
        assert!(stop_timeout("-2").is_err() && stop_timeout("x").is_err());
    }
}
