//! The flags of what a container may use, as docker has them.

use clap::Args;

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
    /// Changes what was said of `cpu`.
    pub fn apply(self, cpu: &mut Cpu) {
        let CpuFlags { cpus, cpu_shares, cpuset_cpus } = self;
        cpu.cpus = cpus.or(cpu.cpus);
        cpu.shares = cpu_shares.or(cpu.shares);
        cpu.set = cpuset_cpus.unwrap_or(std::mem::take(&mut cpu.set));
    }
}
