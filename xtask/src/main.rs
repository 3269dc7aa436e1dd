//! The commands of this repository: `cargo xtask …`.
//!
//! Nothing here links libxl: xtask builds on a machine that has only Rust, and
//! gets from apt what the rest needs.

mod dom0;
mod signals;

use std::process::ExitCode;

use clap::Parser;

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Cli {
    /// Boot Xen and a Dom0 with this tree's vxn, and run a command or a shell in it.
    Dom0(dom0::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse() {
        Cli::Dom0(args) => dom0::run(args),
    };
    result.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
