//! The hotplug program; see the room `hotplug`. Run by libxl, for each device.

use std::path::Path;
use std::process::ExitCode;

use vxn::hotplug::{self, Request, Result};
use vxn::xenstore::Xenstore;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("vxn-hotplug: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let request = Request::parse(std::env::args_os().skip(1), |name| std::env::var_os(name))?;
    let store = Xenstore::open()?;
    hotplug::run(&request, &store, Path::new(hotplug::LOCK))
}
