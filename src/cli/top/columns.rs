//! The fields of ps: which are wanted, and how they are written. All values are the
//! guest's, which is hostile: any number and any text must do.

use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Zoned;
use vxn_proto::ProcessInfo;

/// A field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Column {
    /// `UID` of `-f`: the name, the number without one.
    UserOrId,
    User,
    Uid,
    Pid,
    Parent,
    /// CPU time in percent of the time that the process is there, whole.
    Share,
    /// The same with a decimal.
    Cpu,
    Memory,
    Virtual,
    Resident,
    Threads,
    Terminal,
    State,
    Started,
    Elapsed,
    Time,
    Name,
    Command,
    Arguments,
}

use Column as C;

/// Each field with its heading and the names that `-o` has for it.
const FIELDS: [(Column, &str, &[&str]); 19] = [
    (C::UserOrId, "UID", &[]),
    (C::User, "USER", &["user", "euser", "uname"]),
    (C::Uid, "UID", &["uid", "euid"]),
    (C::Pid, "PID", &["pid", "tgid"]),
    (C::Parent, "PPID", &["ppid"]),
    (C::Share, "C", &["c"]),
    (C::Cpu, "%CPU", &["pcpu", "%cpu"]),
    (C::Memory, "%MEM", &["pmem", "%mem"]),
    (C::Virtual, "VSZ", &["vsz", "vsize"]),
    (C::Resident, "RSS", &["rss", "rssize", "rsz"]),
    (C::Threads, "NLWP", &["nlwp", "thcount"]),
    (C::Terminal, "TTY", &["tty", "tt", "tname"]),
    (C::State, "S", &["s", "state", "stat"]),
    (C::Started, "STIME", &["stime", "start_time"]),
    (C::Elapsed, "ELAPSED", &["etime"]),
    (C::Time, "TIME", &["time", "cputime"]),
    (C::Name, "COMMAND", &["comm", "ucmd", "ucomm"]),
    (C::Command, "CMD", &["cmd"]),
    (C::Arguments, "COMMAND", &["args", "command"]),
];

/// `ps -ef`, which is docker's default.
const FULL: [Column; 8] =
    [C::UserOrId, C::Pid, C::Parent, C::Share, C::Started, C::Terminal, C::Time, C::Command];

/// `ps aux`.
const AUX: [Column; 11] = [
    C::User,
    C::Pid,
    C::Cpu,
    C::Memory,
    C::Virtual,
    C::Resident,
    C::Terminal,
    C::State,
    C::Started,
    C::Time,
    C::Arguments,
];

/// What options of ps ask for.
///
/// # Errors
/// An option or a field that is not there: none is passed over.
pub fn parse(options: &[String]) -> Result<Vec<Column>> {
    let words: Vec<&str> = options.iter().map(String::as_str).collect();
    match words[..] {
        [] | ["-ef" | "-fe" | "-Af"] => return Ok(FULL.to_vec()),
        ["aux" | "-aux" | "axu"] => return Ok(AUX.to_vec()),
        _ => {}
    }
    let mut columns = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let list = ["-o", "-eo", "-Ao", "o"].iter().find_map(|option| word.strip_prefix(option));
        let list = match list {
            Some("") => words.next(),
            Some(list) if word.starts_with('-') => Some(list),
            Some(_) => None,
            None if word == "-e" || word == "-A" => continue,
            None => bail!("there is no ps option {word:?} here: -ef, aux, and -o FIELD,… are"),
        };
        let Some(list) = list else { bail!("{word} needs a list of fields") };
        for name in list.split([',', ' ']).filter(|name| !name.is_empty()) {
            columns.push(field(name)?);
        }
    }
    if columns.is_empty() {
        bail!("-e alone says no fields: -ef has docker's, -eo FIELD,… yours");
    }
    Ok(columns)
}

fn field(name: &str) -> Result<Column> {
    let found = FIELDS.iter().find(|(_, _, names)| names.contains(&name.to_lowercase().as_str()));
    match found {
        Some((column, ..)) => Ok(*column),
        None => {
            let all: Vec<&str> =
                FIELDS.iter().filter_map(|(_, _, names)| names.first()).copied().collect();
            bail!("there is no field {name:?}: {}", all.join(", "))
        }
    }
}

impl Column {
    /// Its heading.
    pub fn heading(self) -> &'static str {
        FIELDS.iter().find(|(column, ..)| *column == self).map_or("", |(_, heading, _)| heading)
    }
}

/// What a look needs besides the processes.
#[derive(Debug)]
pub struct View {
    /// When it is.
    pub now: Zoned,
    /// Bytes of memory that the guest has.
    pub memory: u64,
}

impl View {
    /// A field of a process.
    pub fn cell(&self, column: Column, info: &ProcessInfo) -> String {
        let percent = |part: f64, whole: f64| if whole > 0.0 { 100.0 * part / whole } else { 0.0 };
        let cpu = percent(info.cpu.as_secs_f64(), info.age.as_secs_f64());
        match column {
            C::UserOrId | C::User if info.user.is_empty() => info.uid.to_string(),
            C::UserOrId | C::User => plain(info.user.as_bytes()),
            C::Uid => info.uid.to_string(),
            C::Pid => info.pid.to_string(),
            C::Parent => info.parent.to_string(),
            C::Share => format!("{cpu:.0}"),
            C::Cpu => format!("{cpu:.1}"),
            C::Memory => {
                format!("{:.1}", percent(info.resident_bytes as f64, self.memory as f64))
            }
            C::Virtual => (info.virtual_bytes / 1024).to_string(),
            C::Resident => (info.resident_bytes / 1024).to_string(),
            C::Threads => info.threads.to_string(),
            C::Terminal => terminal(info.tty),
            C::State => plain(&[info.state]),
            C::Started => self.started(info.age),
            C::Elapsed => clock(info.age, false),
            C::Time => clock(info.cpu, true),
            C::Name => plain(&info.name),
            C::Command | C::Arguments => command(info),
        }
    }

    /// As ps: the time of today, the day of this year, else the year.
    fn started(&self, age: Duration) -> String {
        let Ok(then) = self.now.checked_sub(age) else { return "?".to_owned() };
        let format = match (then.year() == self.now.year(), then.date() == self.now.date()) {
            (true, true) => "%H:%M",
            (true, false) => "%b%d",
            (false, _) => "%Y",
        };
        then.strftime(format).to_string()
    }
}

/// The words of the command line, or the name of a process without one.
fn command(info: &ProcessInfo) -> String {
    let words = info.command.strip_suffix(b"\0").unwrap_or(&info.command);
    if words.is_empty() {
        return format!("[{}]", plain(&info.name));
    }
    plain(&words.iter().map(|&b| if b == 0 { b' ' } else { b }).collect::<Vec<_>>())
}

/// Text that does nothing to a terminal, and stays on its line.
fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(|c: char| c.is_control(), "\u{fffd}")
}

/// The name of a terminal from its device number, see makedev(3).
fn terminal(device: u32) -> String {
    let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
    match (major, minor) {
        (136..=143, _) => format!("pts/{}", u64::from(major - 136) << 20 | u64::from(minor)),
        (4, 0..64) => format!("tty{minor}"),
        (5, 1) => "console".to_owned(),
        (229, _) => format!("hvc{minor}"),
        _ => "?".to_owned(),
    }
}

/// `[D-]HH:MM:SS`; without `hours` only what there is of them.
fn clock(time: Duration, hours: bool) -> String {
    let seconds = time.as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let (h, m, s) = (rest / 3600, rest / 60 % 60, rest % 60);
    match (days, h) {
        (0, 0) if !hours => format!("{m:02}:{s:02}"),
        (0, _) => format!("{h:02}:{m:02}:{s:02}"),
        _ => format!("{days}-{h:02}:{m:02}:{s:02}"),
    }
}

#[cfg(test)]
mod tests;
