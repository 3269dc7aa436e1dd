//! docker's flags that mean nothing on Xen. They are known, so that who gives one is
//! told why it is refused and what to do instead.

use anyhow::{Context, anyhow};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};

use super::failure::Hint;

/// A flag that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Refusal {
    /// Its name.
    flag: &'static str,
    /// It is a switch, or a flag with a value, of which these ask for what is so anyway.
    value: Value,
    /// Why it cannot be.
    why: &'static str,
    /// What to do instead.
    instead: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Switch,
    AllBut(&'static [&'static str]),
}

const ANY: Value = Value::AllBut(&[]);

const fn refuse(
    flag: &'static str,
    value: Value,
    why: &'static str,
    instead: &'static str,
) -> Refusal {
    Refusal { flag, value, why, instead }
}

// Several flags have these in common.
const NO_SHARING: &str = "a VM shares no namespace with Dom0 or with another container";
const OWN_CGROUPS: &str = "no control group of Dom0 holds a VM";
const NO_SWAP: &str = "the guest has no swap: its memory is what -m says";
const NO_BLKIO: &str = "Xen has no such limit for a virtual disk";
const REAL_TIME: &str = "Xen's credit schedulers have no real-time budget";
const WINDOWS: &str = "it is for Windows";

const USE_MEMORY: &str = "say -m SIZE";
const USE_CPUS: &str = "say --cpus N, with a fraction if need be";
const USE_SHARES: &str = "say --cpu-shares N or --cpuset-cpus LIST";
const LEAVE_OUT: &str = "leave the flag out";

/// All of them.
const REFUSED: &[Refusal] = &[
    refuse("pid", ANY, NO_SHARING, "`vxn exec` runs a command among its processes"),
    refuse("ipc", Value::AllBut(&["private"]), NO_SHARING, LEAVE_OUT),
    refuse("uts", ANY, NO_SHARING, "give it a name with --hostname"),
    refuse("userns", ANY, "a container has a kernel, and users, of its own", LEAVE_OUT),
    refuse("cgroupns", Value::AllBut(&["private"]), OWN_CGROUPS, LEAVE_OUT),
    refuse("cgroup-parent", ANY, OWN_CGROUPS, USE_SHARES),
    refuse("device-cgroup-rule", ANY, OWN_CGROUPS, "--cap-drop MKNOD leaves it its few devices"),
    refuse("gpus", ANY, "the guest has no GPU of Dom0", LEAVE_OUT),
    refuse("runtime", ANY, "there is one runtime: the guest's vxn-init", LEAVE_OUT),
    refuse("isolation", Value::AllBut(&["default"]), WINDOWS, LEAVE_OUT),
    refuse("memory-swap", ANY, NO_SWAP, USE_MEMORY),
    refuse("memory-swappiness", ANY, NO_SWAP, USE_MEMORY),
    refuse("memory-reservation", ANY, "all of its memory is the DomU's own", USE_MEMORY),
    refuse("kernel-memory", ANY, "the guest's kernel is a part of its memory", USE_MEMORY),
    refuse(
        "oom-kill-disable",
        Value::Switch,
        "a guest that could kill nothing would stand still",
        "give it more with -m, or keep a process with --oom-score-adj -1000",
    ),
    refuse("cpu-period", ANY, "Xen's cap has no period of its own", USE_CPUS),
    refuse("cpu-quota", ANY, "Xen's cap has no period of its own", USE_CPUS),
    refuse("cpu-rt-period", ANY, REAL_TIME, USE_SHARES),
    refuse("cpu-rt-runtime", ANY, REAL_TIME, USE_SHARES),
    refuse("cpuset-mems", ANY, "Xen takes memory from the nodes of the CPUs", USE_SHARES),
    refuse("cpu-count", ANY, WINDOWS, USE_CPUS),
    refuse("cpu-percent", ANY, WINDOWS, USE_CPUS),
    refuse("blkio-weight", ANY, NO_BLKIO, LEAVE_OUT),
    refuse("blkio-weight-device", ANY, NO_BLKIO, LEAVE_OUT),
    refuse("device-read-bps", ANY, NO_BLKIO, LEAVE_OUT),
    refuse("device-read-iops", ANY, NO_BLKIO, LEAVE_OUT),
    refuse("device-write-bps", ANY, NO_BLKIO, LEAVE_OUT),
    refuse("device-write-iops", ANY, NO_BLKIO, LEAVE_OUT),
    refuse("link", ANY, "containers of one network find each other by name", LEAVE_OUT),
    refuse("link-local-ip", ANY, "addresses are vxn's to give", "say --ip or --ip6"),
    refuse("volume-driver", Value::AllBut(&["local"]), "there are no volume plugins", LEAVE_OUT),
    refuse(
        "disable-content-trust",
        Value::Switch,
        "skopeo's policy.json says what is trusted",
        LEAVE_OUT,
    ),
    refuse(
        "storage-opt",
        ANY,
        "the writable disk is a file of vxn's own",
        "say --storage-size SIZE",
    ),
    refuse("io-maxbandwidth", ANY, WINDOWS, LEAVE_OUT),
    refuse("io-maxiops", ANY, WINDOWS, LEAVE_OUT),
];

impl Refusal {
    /// The flag as it was given, if it was, and not to ask for what is so anyway.
    fn given(&self, matches: &ArgMatches) -> Option<String> {
        match self.value {
            Value::Switch => matches.get_flag(self.flag).then(|| format!("--{}", self.flag)),
            Value::AllBut(so_anyway) => {
                let values = matches.get_many::<String>(self.flag)?;
                let mut other = values.filter(|value| !so_anyway.contains(&value.as_str()));
                other.next().map(|value| format!("--{}={value}", self.flag))
            }
        }
    }

    fn arg(&self) -> Arg {
        let arg = Arg::new(self.flag).long(self.flag).hide(true);
        match self.value {
            Value::Switch => arg.action(ArgAction::SetTrue),
            // Whatever it looks like, it is for this flag.
            Value::AllBut(_) => arg.action(ArgAction::Append).allow_hyphen_values(true),
        }
    }
}

/// Why a flag is refused, and what to do instead.
#[cfg(test)]
pub fn reason(flag: &str) -> Option<(&'static str, &'static str)> {
    REFUSED.iter().find(|refusal| refusal.flag == flag).map(|r| (r.why, r.instead))
}

/// The refused flag of a command line, if there is one.
#[derive(Debug, Clone, Default)]
pub struct RefusedFlags(Option<(String, &'static Refusal)>);

impl RefusedFlags {
    /// # Errors
    /// When there is one, with the reason and what to do instead.
    pub fn check(&self) -> anyhow::Result<()> {
        match &self.0 {
            None => Ok(()),
            Some((given, refusal)) => Err(anyhow!("{given} is refused: {}", refusal.why))
                .context(Hint(refusal.instead.to_owned())),
        }
    }
}

impl Args for RefusedFlags {
    fn augment_args(command: Command) -> Command {
        command.args(REFUSED.iter().map(Refusal::arg))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for RefusedFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut given = REFUSED.iter().filter_map(|r| r.given(matches).map(|given| (given, r)));
        Ok(RefusedFlags(given.next()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        refused: RefusedFlags,
        #[arg(trailing_var_arg = true)]
        words: Vec<String>,
    }

    fn check(words: &[&str]) -> Result<(), String> {
        let line = Line::try_parse_from([&["x"], words].concat()).unwrap();
        line.refused.check().map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn every_flag_is_refused_with_a_reason_and_a_way_out() {
        for refusal in REFUSED {
            let flag = format!("--{}", refusal.flag);
            let error = match refusal.value {
                Value::Switch => check(&[&flag, "image"]),
                Value::AllBut(_) => check(&[&flag, "-1", "image"]),
            };
            let error = error.unwrap_err();
            assert!(error.contains(&flag) && error.contains(refusal.why), "{error}");
            assert!(error.starts_with(refusal.instead), "{error}");
        }
    }

    #[test]
    fn what_is_so_anyway_may_be_said() {
        assert_eq!(check(&["--ipc", "private", "--cgroupns=private", "image"]), Ok(()));
        assert!(check(&["--ipc", "private", "--ipc=host", "image"]).is_err());
    }

    #[test]
    fn the_commands_own_flags_are_no_business_of_ours() {
        assert_eq!(check(&["image", "--pid", "host", "--oom-kill-disable"]), Ok(()));
    }
}
