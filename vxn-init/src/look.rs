//! What the host is told of the container's processes and of what they take: read
//! from `/proc` when it asks, and bounded, whatever the processes call themselves.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    path::Path,
    time::Duration,
};

use nix::unistd::{SysconfVar, sysconf};
use vxn_proto::{Answer, MAX_ANSWER, MAX_COMMAND, ProcessInfo, Query, Usage};

use crate::{Result, error::Context, limits, rootfs::Rootfs, spec, user};

/// Most bytes of a user's name that are told.
const MAX_USER: usize = 32;

/// More than a [`ProcessInfo`] takes besides its texts, encoded.
const FIXED: usize = 128;

/// Answers a question about the container whose root file system is `root`.
///
/// # Errors
/// The kernel's, on its own files.
pub fn answer(query: Query, root: &Rootfs) -> Result<Answer> {
    match query {
        Query::Processes => processes(root),
        Query::Usage => usage().map(Answer::Usage),
    }
}

fn usage() -> Result<Usage> {
    let path = "/proc/meminfo";
    let meminfo = fs::read_to_string(path).context(format_args!("read {path}"))?;
    let bytes = |key| number(&meminfo, key) * 1024;
    let memory_total = bytes("MemTotal:");
    let memory_used = memory_total.saturating_sub(bytes("MemAvailable:"));
    Ok(Usage { memory_used, memory_total, tasks: limits::tasks(spec::CGROUP) })
}

fn processes(root: &Rootfs) -> Result<Answer> {
    let passwd = root.read("/etc/passwd")?;
    let uptime = fs::read_to_string("/proc/uptime").context("read /proc/uptime")?;
    let uptime = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok());
    let clock = Clock {
        uptime: Duration::try_from_secs_f64(uptime.unwrap_or_default()).unwrap_or_default(),
        hertz: sysconf(SysconfVar::CLK_TCK).ok().flatten().map_or(100, i64::unsigned_abs),
    };
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc").context("list /proc")? {
        let entry = entry.context("list /proc")?;
        let Some(guest_pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // None: it has ended meanwhile, or is none of the container's.
        if let Some(info) = process(&entry.path(), &clock, &passwd) {
            found.insert(guest_pid, info);
        }
    }
    Ok(bounded(renumbered(found)))
}

/// When it is, and how long the kernel's ticks are.
struct Clock {
    uptime: Duration,
    hertz: u64,
}

impl Clock {
    fn ticks(&self, ticks: u64) -> Duration {
        Duration::from_secs_f64(ticks as f64 / self.hertz.max(1) as f64)
    }
}

/// A process in a pid namespace below the guest's. Its parent is still a number of
/// the guest.
fn process(dir: &Path, clock: &Clock, passwd: &[u8]) -> Option<ProcessInfo> {
    let status = fs::read(dir.join("status")).ok()?;
    let stat = fs::read(dir.join("stat")).ok()?;
    let mut command = Vec::new();
    let cmdline = File::open(dir.join("cmdline")).ok()?;
    cmdline.take(MAX_COMMAND as u64).read_to_end(&mut command).ok()?;
    parse(&String::from_utf8_lossy(&status), &stat, command, clock, passwd)
}

/// See proc_pid_status(5) and proc_pid_stat(5).
fn parse(
    status: &str,
    stat: &[u8],
    command: Vec<u8>,
    clock: &Clock,
    passwd: &[u8],
) -> Option<ProcessInfo> {
    // The guest's own processes and threads have one number, the container's more.
    let pid = field(status, "NSpid:")?.nth(1)?.parse().ok()?;
    let uid = field(status, "Uid:")?.nth(1)?.parse().ok()?;
    // The name may have blanks and brackets in it.
    let open = stat.iter().position(|&b| b == b'(')?;
    let close = stat.iter().rposition(|&b| b == b')')?;
    let name = stat.get(open + 1..close)?.to_vec();
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let rest: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number_at = |at: usize| rest.get(at).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let user = user::name_of(uid, passwd).unwrap_or_default();
    Some(ProcessInfo {
        pid,
        parent: number_at(1) as u32,
        uid,
        user: String::from_utf8_lossy(&user[..user.len().min(MAX_USER)]).into_owned(),
        tty: number_at(4) as u32,
        state: rest.first()?.bytes().next()?,
        threads: number_at(17) as u32,
        virtual_bytes: number_at(20),
        resident_bytes: number(status, "VmRSS:") * 1024,
        age: clock.uptime.saturating_sub(clock.ticks(number_at(19))),
        cpu: clock.ticks(number_at(11).saturating_add(number_at(12))),
        name,
        command,
    })
}

/// The processes by the guest's numbers, with the container's numbers of their
/// parents and without the container's PID 1, which is ours.
fn renumbered(found: BTreeMap<u32, ProcessInfo>) -> Vec<ProcessInfo> {
    let numbers: BTreeMap<u32, u32> = found.iter().map(|(&pid, info)| (pid, info.pid)).collect();
    let mut list: Vec<ProcessInfo> = found.into_values().filter(|info| info.pid != 1).collect();
    for info in &mut list {
        info.parent = numbers.get(&info.parent).copied().unwrap_or(0);
    }
    list.sort_by_key(|info| info.pid);
    list
}

/// As many as fit into an answer.
fn bounded(mut processes: Vec<ProcessInfo>) -> Answer {
    let mut room = MAX_ANSWER;
    let mut fits = |info: &ProcessInfo| {
        let size = FIXED + info.user.len() + info.name.len() + info.command.len();
        room.checked_sub(size).inspect(|left| room = *left).is_some()
    };
    let kept = processes.iter().map(&mut fits).take_while(|fits| *fits).count();
    let omitted = u32::try_from(processes.len() - kept).unwrap_or(u32::MAX);
    processes.truncate(kept);
    Answer::Processes { processes, omitted }
}

/// The words of the line of `text` that begins with `key`.
fn field<'a>(text: &'a str, key: &str) -> Option<impl Iterator<Item = &'a str>> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(line.split_ascii_whitespace())
}

/// The number of the line of `text` that begins with `key`, 0 when there is none.
fn number(text: &str, key: &str) -> u64 {
    field(text, key).and_then(|mut words| words.next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STATUS: &str = "Name:\tsh\nUid:\t0\t33\t33\t33\nNSpid:\t214\t5\nVmRSS:\t    120 kB\n";
    const STAT: &[u8] =
        b"214 (a) (b c) S 213 214 214 34816 214 4194560 1 0 0 0 150 50 0 0 20 0 3 0 \
                          1000 4096000 30";

    fn clock() -> Clock {
        Clock { uptime: Duration::from_secs(70), hertz: 100 }
    }

    #[test]
    fn a_process_is_read_as_the_kernel_writes_it() {
        let passwd = b"root:x:0:0::/:/bin/sh\nwww-data:x:33:33::/:/bin/sh\n";
        let info = parse(STATUS, STAT, b"sh\0-c\0".to_vec(), &clock(), passwd).unwrap();
        assert_eq!((info.pid, info.parent, info.uid, info.user.as_str()), (5, 213, 33, "www-data"));
        assert_eq!((info.name.as_slice(), info.state, info.threads), (&b"a) (b c"[..], b'S', 3));
        assert_eq!((info.tty, info.cpu.as_secs(), info.age.as_secs()), (34816, 2, 60));
        assert_eq!((info.virtual_bytes, info.resident_bytes), (4_096_000, 120 * 1024));
    }

    #[test]
    fn the_guests_own_processes_are_not_told() {
        let own = STATUS.replace("214\t5", "214");
        assert_eq!(parse(&own, STAT, vec![], &clock(), b""), None);
        let info = |pid, parent| ProcessInfo {
            pid,
            parent,
            ..parse(STATUS, STAT, vec![], &clock(), b"").unwrap()
        };
        let found = BTreeMap::from([(10, info(1, 2)), (11, info(7, 1)), (12, info(8, 11))]);
        let told: Vec<_> = renumbered(found).iter().map(|i| (i.pid, i.parent)).collect();
        assert_eq!(told, [(7, 0), (8, 7)]);
    }

    #[test]
    fn an_answer_fits_into_a_message_whatever_there_is() {
        let mut long = parse(STATUS, STAT, vec![b'x'; MAX_COMMAND], &clock(), b"").unwrap();
        (long.age, long.cpu) = (Duration::MAX, Duration::MAX);
        let answer = bounded(vec![long; 5000]);
        let Answer::Processes { processes, omitted } = &answer else { panic!("{answer:?}") };
        assert_eq!(processes.len() + *omitted as usize, 5000);
        assert!(processes.len() > 50);
        let mut bytes = Vec::new();
        vxn_proto::encode_message(&vxn_proto::ToHost::Answer(answer), &mut bytes).unwrap();
    }

    proptest! {
        #[test]
        fn any_text_is_safe(status in ".{0,200}", stat in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&status, &stat, vec![], &clock(), &stat);
            parse(STATUS, &stat, vec![], &clock(), &stat);
        }
    }
}
