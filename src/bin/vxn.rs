//! `vxn`: OCI containers as Xen DomUs, and a native Xen toolstack.

use std::process::ExitCode;

fn main() -> ExitCode {
    vxn::cli::main()
}
