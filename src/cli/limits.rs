//! The flags of what a container may take, as docker has them: of the host's CPUs,
//! and inside of the guest.

use clap::Args;
use vxn_proto::{Limits, Ulimit};

use crate::config::Memory;
use crate::container::cpu::{self, Cpu, CpuSet, Cpus};

/// What a container may use of the host's CPUs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct CpuFlags {
    /// CPUs of the DomU, such as 2 or 1.5: so many virtual CPUs, rounded up, and a cap
    /// for the fraction.
    #[arg(long, value_name = "N")]
    pub cpus: Option<Cpus>,
    /// Weight against other DomUs when CPUs are contended for; 1024 if not said.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = cpu::shares)]
    pub cpu_shares: Option<u32>,
    /// The host's CPUs to run on, such as 0-3,7.
    #[arg(long, value_name = "LIST")]
    pub cpuset_cpus: Option<CpuSet>,
}

impl CpuFlags {
    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.cpus.is_none() && self.cpu_shares.is_none() && self.cpuset_cpus.is_none()
    }

    /// `cpu` with what was said in place of what it says.
    pub fn over(self, cpu: Cpu) -> Cpu {
        Cpu {
            cpus: self.cpus.or(cpu.cpus),
            shares: self.cpu_shares.or(cpu.shares),
            set: self.cpuset_cpus.unwrap_or(cpu.set),
        }
    }
}

/// Limits inside of the guest.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitFlags {
    /// Most processes and threads of the container; -1 is no limit.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Resource limit of each process; -1 is no limit.
    #[arg(long, value_name = "TYPE=SOFT[:HARD]", value_parser = ulimit)]
    ulimit: Vec<Ulimit>,
    /// Size of /dev/shm; 64M if not said.
    #[arg(long, value_name = "SIZE")]
    shm_size: Option<Memory>,
    /// Set a parameter of the guest's kernel.
    #[arg(long, value_name = "KEY=VALUE", value_parser = sysctl)]
    sysctl: Vec<(String, String)>,
    /// How gladly the guest kills the processes when its memory runs out: -1000 to
    /// 1000.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = oom_score_adj)]
    oom_score_adj: Option<i16>,
}

impl LimitFlags {
    /// What was said. The last word on a type or a parameter counts.
    pub fn limits(self) -> Limits {
        Limits {
            pids: self.pids_limit.and_then(|pids| u64::try_from(pids).ok()).filter(|n| *n > 0),
            ulimits: last_words(self.ulimit, |ulimit| ulimit.name.clone()),
            shm_bytes: self.shm_size.map(Memory::bytes).filter(|bytes| *bytes > 0),
            sysctls: last_words(self.sysctl, |(key, _)| key.clone()),
            oom_score_adj: self.oom_score_adj,
        }
    }
}

/// The last of those that have a key in common, in the order of the keys.
fn last_words<T>(list: Vec<T>, key: impl Fn(&T) -> String) -> Vec<T> {
    let words = list.into_iter().map(|word| (key(&word), word));
    words.collect::<std::collections::BTreeMap<_, _>>().into_values().collect()
}

/// docker's names of resources.
const ULIMITS: [&str; 15] = [
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// `TYPE=SOFT[:HARD]` in docker's words.
fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) =
        text.split_once('=').ok_or_else(|| format!("invalid ulimit argument: {text}"))?;
    if !ULIMITS.contains(&name) {
        return Err(format!("invalid ulimit type: {name} (there are {})", ULIMITS.join(", ")));
    }
    let number = |text: &str| match text.parse::<i64>() {
        Ok(-1) => Ok(u64::MAX),
        Ok(number) if number >= 0 => Ok(number.unsigned_abs()),
        _ => Err(format!("{text:?} is neither a number nor -1, which is no limit")),
    };
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let (shown, soft, hard) = (limits, number(soft)?, number(hard)?);
    if soft > hard {
        let rule = "ulimit soft limit must be less than or equal to hard limit";
        return Err(format!("{rule}: {shown}"));
    }
    Ok(Ulimit { name: name.to_owned(), soft, hard })
}

/// `KEY=VALUE`. The guest's kernel is the container's own, so any key goes that it
/// has; but the host name has a flag.
fn sysctl(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} has no value"))?;
    let part = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_graphic());
    if !key.contains(['.', '/']) || !key.split(['.', '/']).all(part) {
        return Err(format!("{key:?} is no kernel parameter such as net.core.somaxconn"));
    }
    if key.replace('/', ".") == "kernel.hostname" {
        return Err("the host name is set with --hostname".to_owned());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn oom_score_adj(text: &str) -> Result<i16, String> {
    let number = text.parse::<i16>().ok().filter(|score| (-1000..=1000).contains(score));
    number.ok_or_else(|| format!("invalid value {text}, range for oom score adj is [-1000, 1000]"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        flags: LimitFlags,
    }

    fn limits(words: &[&str]) -> Limits {
        Line::try_parse_from([&["x"], words].concat()).unwrap().flags.limits()
    }

    #[test]
    fn ulimits_are_read_as_docker_reads_them() {
        let read = |text: &str| ulimit(text).map(|ulimit| (ulimit.soft, ulimit.hard));
        assert_eq!(read("nofile=512"), Ok((512, 512)));
        assert_eq!(read("nofile=512:1024"), Ok((512, 1024)));
        assert_eq!(read("core=0:-1"), Ok((0, u64::MAX)));
        assert_eq!(read("core=-1"), Ok((u64::MAX, u64::MAX)));
        assert_eq!(ulimit("nofile").unwrap_err(), "invalid ulimit argument: nofile");
        assert!(ulimit("files=1").unwrap_err().starts_with("invalid ulimit type: files"));
        assert!(ulimit("nofile=2:1").unwrap_err().contains("less than or equal to hard limit"));
        for text in ["", "nofile=", "nofile=1:2:3", "nofile=-2", "nofile=-1:5", "nofile=1k", "=1"] {
            assert!(ulimit(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_last_word_on_a_limit_counts() {
        let words = ["--ulimit", "nofile=1", "--ulimit", "core=0", "--ulimit", "nofile=2"];
        let seen = limits(&words).ulimits.into_iter().map(|limit| (limit.name, limit.soft));
        assert!(seen.eq([("core".to_owned(), 0), ("nofile".to_owned(), 2)]));
    }

    #[test]
    fn zero_and_less_are_dockers_defaults() {
        assert_eq!(limits(&[]), Limits::default());
        for none in ["-1", "0"] {
            assert_eq!(limits(&["--pids-limit", none]).pids, None);
        }
        assert_eq!(limits(&["--pids-limit", "7", "--shm-size", "0"]).pids, Some(7));
        assert_eq!(limits(&["--shm-size", "1g"]).shm_bytes, Some(1 << 30));
        assert_eq!(limits(&["--oom-score-adj", "-500"]).oom_score_adj, Some(-500));
        assert!(oom_score_adj("1001").unwrap_err().contains("[-1000, 1000]"));
    }

    #[test]
    fn kernel_parameters_have_a_key_and_a_value() {
        let pair = |key: &str, value: &str| Ok((key.to_owned(), value.to_owned()));
        assert_eq!(sysctl("net.core.somaxconn=9"), pair("net.core.somaxconn", "9"));
        assert_eq!(sysctl("a/b.0/c=1=2 3"), pair("a/b.0/c", "1=2 3"));
        for text in ["net.x", "=1", "x=1", "../x=1", "a..b=1", "/a=1", "a b.c=1", "a.=1"] {
            assert!(sysctl(text).is_err(), "{text}");
        }
        assert!(sysctl("kernel.hostname=x").unwrap_err().contains("--hostname"));
    }

    proptest! {
        #[test]
        fn a_limit_is_never_above_its_most(text in "(nofile|core|x)=?[-0-9:]{0,9}") {
            if let Ok(ulimit) = ulimit(&text) {
                prop_assert!(ulimit.soft <= ulimit.hard);
            }
        }

        #[test]
        fn no_key_leads_out_of_the_parameters(text in "[a-c./]{0,9}=1") {
            if let Ok((key, _)) = sysctl(&text) {
                prop_assert!(key.split('/').all(|part| part != ".." && !part.is_empty()));
            }
        }
    }
}
