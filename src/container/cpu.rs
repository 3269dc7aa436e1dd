//! A container's part of the host's CPUs: docker's words, and Xen's for them.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::libxl::Scheduling;

/// Most virtual CPUs of a container.
pub const MAX_VCPUS: u32 = 128;
/// docker's shares and Xen's weight of who says nothing.
const SHARES: u32 = 1024;
const WEIGHT: u32 = 256;
/// Xen's highest number of a CPU, at the most.
const MAX_CPU: u16 = 4095;

/// What a container may use of the host's CPUs; by default all that its virtual
/// CPUs can take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cpu {
    /// How much CPU time, if it was said.
    pub cpus: Option<Cpus>,
    /// Its weight against others that want to run, 1024 if not said.
    pub shares: Option<u32>,
    /// The host's CPUs that it may run on; empty is all.
    pub set: CpuSet,
}

impl Cpu {
    /// The same in Xen's words, for a domain with `vcpus`.
    pub fn scheduling(&self, vcpus: u32) -> Scheduling {
        Scheduling {
            weight: self.shares.map(weight),
            cap: self.cpus.map(|cpus| cpus.cap(vcpus)),
            cpus: self.set.0.clone(),
        }
    }
}

/// Xen's weight for docker's shares, as near as Xen has one.
fn weight(shares: u32) -> u16 {
    u16::try_from(shares / (SHARES / WEIGHT)).unwrap_or(u16::MAX).max(1)
}

/// docker's number of shares; 0 is its default.
pub fn shares(text: &str) -> Result<u32, String> {
    match text.parse::<i64>() {
        Ok(shares) if shares < 0 => {
            Err(format!("invalid CPU shares ({shares}): value must be a positive integer"))
        }
        Ok(0) => Ok(SHARES),
        Ok(shares) => Ok(u32::try_from(shares).unwrap_or(u32::MAX)),
        Err(_) => Err(format!("{text:?} is not a whole number")),
    }
}

/// A number of CPUs with a fraction, in billionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpus(u64);

impl Cpus {
    const ONE: u64 = 1_000_000_000;

    /// So many whole CPUs.
    pub fn whole(cpus: u32) -> Cpus {
        Cpus(u64::from(cpus) * Cpus::ONE)
    }

    /// A quota of each period, both in microseconds.
    ///
    /// # Errors
    /// It is less than a hundredth of a CPU, or more than any DomU has.
    pub fn of_quota(quota: u64, period: u64) -> Result<Cpus, String> {
        let nano = u128::from(quota) * u128::from(Cpus::ONE) / u128::from(period.max(1));
        Cpus::in_range(u64::try_from(nano).unwrap_or(u64::MAX))
    }

    fn in_range(nano: u64) -> Result<Cpus, String> {
        if !(Cpus::ONE / 100..=Cpus::whole(MAX_VCPUS).0).contains(&nano) {
            return Err(format!("range of CPUs is from 0.01 to {MAX_VCPUS}"));
        }
        Ok(Cpus(nano))
    }

    /// In billionths, docker's `NanoCpus`.
    pub fn nano(self) -> u64 {
        self.0
    }

    /// The virtual CPUs that can take so much.
    pub fn vcpus(self) -> u32 {
        u32::try_from(self.0.div_ceil(Cpus::ONE)).unwrap_or(MAX_VCPUS)
    }

    /// Xen's cap for it in percent of a CPU; 0, which is none, if `vcpus` cannot
    /// take more anyway.
    pub fn cap(self, vcpus: u32) -> u16 {
        if self >= Cpus::whole(vcpus) {
            return 0;
        }
        let percent = (self.0 + Cpus::ONE / 200) / (Cpus::ONE / 100);
        u16::try_from(percent).unwrap_or(u16::MAX).max(1)
    }
}

/// `1.5`: nine digits after the point at the most, as docker.
impl FromStr for Cpus {
    type Err = String;

    fn from_str(text: &str) -> Result<Cpus, String> {
        let bad = || format!("{text:?} is not a number of CPUs such as 2 or 1.5");
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
            return Err(bad());
        }
        if fraction.len() > 9 {
            return Err("value is too precise".to_owned());
        }
        let nano: u64 = format!("{whole}{fraction:0<9}").parse().map_err(|_| bad())?;
        Cpus::in_range(nano)
    }
}

/// A set of the host's CPUs, written as docker and Linux do: `0-3,7`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CpuSet(BTreeSet<u16>);

impl CpuSet {
    /// The highest CPU of the set.
    pub fn last(&self) -> Option<u16> {
        self.0.last().copied()
    }
}

impl FromStr for CpuSet {
    type Err = String;

    /// An empty text is the empty set.
    fn from_str(text: &str) -> Result<CpuSet, String> {
        let bad = || format!("{text:?} is not a list of CPUs such as 0-3,7");
        // `u16`'s own parser takes a sign.
        let digits = |text: &&str| text.bytes().all(|b| b.is_ascii_digit());
        let number = |text: &str| -> Option<u16> {
            Some(text).filter(digits)?.parse().ok().filter(|cpu| *cpu <= MAX_CPU)
        };
        let mut set = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            match (number(first), number(last)) {
                (Some(first), Some(last)) if first <= last => set.extend(first..=last),
                _ => return Err(bad()),
            }
        }
        Ok(CpuSet(set))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut runs: Vec<(u16, u16)> = Vec::new();
        for &cpu in &self.0 {
            match runs.last_mut() {
                Some((_, last)) if *last + 1 == cpu => *last = cpu,
                _ => runs.push((cpu, cpu)),
            }
        }
        for (i, (first, last)) in runs.into_iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

impl From<CpuSet> for String {
    fn from(set: CpuSet) -> String {
        set.to_string()
    }
}

impl TryFrom<String> for CpuSet {
    type Error = String;

    fn try_from(text: String) -> Result<CpuSet, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_become_the_weight_that_is_as_large_a_part_of_xens() {
        for (shares, expected) in [(1024, 256), (512, 128), (2048, 512), (2, 1), (4, 1)] {
            assert_eq!(weight(shares), expected, "{shares}");
        }
        assert_eq!(weight(262_144), 65535, "docker's most is Xen's");
        assert_eq!(weight(u32::MAX), 65535);
        assert_eq!((shares("0"), shares("512")), (Ok(1024), Ok(512)));
        assert!(shares("-1").unwrap_err().contains("must be a positive integer"));
        assert!(shares("1.5").is_err() && shares("").is_err());
    }

    #[test]
    fn a_fraction_of_a_cpu_is_a_vcpu_with_a_cap() {
        let cpus = |text: &str| text.parse::<Cpus>().unwrap();
        for (text, vcpus, cap) in
            [("2", 2, 0), ("1.5", 2, 150), (".5", 1, 50), ("0.01", 1, 1), ("0.014", 1, 1)]
        {
            assert_eq!((cpus(text).vcpus(), cpus(text).cap(cpus(text).vcpus())), (vcpus, cap));
        }
        assert_eq!(cpus("1.999999999").cap(2), 200, "nearly all of it");
        assert_eq!(cpus("1").cap(4), 100, "the vcpus could take more");
        assert_eq!(cpus("128").nano(), 128_000_000_000);
        for text in ["", ".", "0", "-1", "128.1", "1e2", "1.5.5", "0.001", "99999999999999999999"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
        assert_eq!("0.1234567891".parse::<Cpus>().unwrap_err(), "value is too precise");
    }

    #[test]
    fn sets_are_read_as_docker_reads_them() {
        for (text, written) in [("7", "7"), ("0-0,0,1-7", "0-7"), ("03,1-3", "1-3"), ("", "")] {
            assert_eq!(text.parse::<CpuSet>().unwrap().to_string(), written, "{text}");
        }
        for text in ["3-", "-1", "1-0", " 1", "1,", ",", "+1", "1--2", "4096", "a", "1-2-3"] {
            assert!(text.parse::<CpuSet>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_set_is_read_as_it_was_written(cpus in prop::collection::btree_set(0..=MAX_CPU, 0..40)) {
            let set = CpuSet(cpus);
            prop_assert_eq!(set.to_string().parse::<CpuSet>(), Ok(set));
        }

        #[test]
        fn any_text_is_safe(text in "[0-9,.\\-]{0,12}") {
            if let Ok(cpus) = text.parse::<Cpus>() {
                let vcpus = cpus.vcpus();
                prop_assert!((1..=MAX_VCPUS).contains(&vcpus));
                prop_assert!(u32::from(cpus.cap(vcpus)) <= 100 * vcpus);
            }
            let _ = text.parse::<CpuSet>();
        }
    }
}
