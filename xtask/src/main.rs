//! The commands of this repository: `cargo xtask …`.
//!
//! Nothing here links libxl: xtask builds on a machine that has only Rust, and
//! gets from apt what the rest needs.

mod artifacts;
mod bench;
mod demo;
mod dom0;
mod packages;
mod signals;
mod test;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Cli {
    /// Run a container in a DomU, on Xen, here: all it takes is installed and built.
    Demo,
    /// Boot Xen and a Dom0 with this tree's vxn, and run a command or a shell in it.
    Dom0(dom0::Args),
    /// Run all checks and tests, those on real Xen included.
    Test,
    /// Compare vxn with xl: medians and ratios.
    Bench(bench::Args),
    /// Build the guest's PID 1 and write the initramfs that holds it.
    Initramfs {
        /// The modules of the guest's kernel: …/lib/modules/VERSION. None for a
        /// kernel that has what it needs built in.
        #[arg(long, value_name = "DIR")]
        modules: Option<PathBuf>,
        /// The file to write.
        #[arg(long, value_name = "FILE", default_value = "target/initramfs.cpio")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    run(Cli::parse()).unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli {
        Cli::Demo => demo::run(),
        Cli::Dom0(args) => dom0::run(args),
        Cli::Test => test::run(),
        Cli::Bench(args) => bench::run(&args),
        Cli::Initramfs { modules, out } => artifacts::initramfs(modules.as_deref(), &out),
    }
}
