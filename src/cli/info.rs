//! `vxn info`: what this is, what it runs on, and how it is set.

use std::fs;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::config::{Row, Settings};
use crate::libxl::{Ctx, HostInfo};

/// Show versions, the host, and the settings with where each came from.
#[derive(Debug, Args)]
pub struct InfoArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Info<'a> {
    version: &'static str,
    kernel: String,
    /// None where there is no hypervisor to ask.
    host: Option<HostInfo>,
    /// Why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    host_error: Option<String>,
    settings: &'a [Row],
}

/// Runs `vxn info`.
pub fn run(args: &InfoArgs, settings: &Settings) -> Result<ExitCode> {
    let settings = &settings.rows();
    let (host, host_error) = match Ctx::open().and_then(|ctx| ctx.host()) {
        Ok(host) => (Some(host), None),
        Err(e) => (None, Some(e.to_string())),
    };
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim_end().to_owned();
    let info = Info { version: env!("CARGO_PKG_VERSION"), kernel, host, host_error, settings };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&info)?);
    } else {
        print!("{}", text(&info));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(info: &Info<'_>) -> String {
    let mut lines = vec![("vxn", info.version.to_owned()), ("kernel of Dom0", info.kernel.clone())];
    if let Some(host) = &info.host {
        let yes_no = |yes| if yes { "yes" } else { "no" };
        lines.extend([
            ("Xen", host.xen_version.clone()),
            ("Xen's command line", host.commandline.clone()),
            ("PV guests", yes_no(host.pv).to_owned()),
            ("PVH guests", yes_no(host.hvm && host.hap).to_owned()),
            ("CPUs", host.nr_cpus.to_string()),
            ("memory", format!("{} MiB", host.total_memory_kib / 1024)),
            ("free for guests", format!("{} MiB", host.free_memory_kib / 1024)),
        ]);
    }
    if let Some(error) = &info.host_error {
        lines.push(("Xen", error.clone()));
    }
    let host = lines.iter().map(|(name, value)| format!("{:<20}{value}\n", format!("{name}:")));
    let width = info.settings.iter().map(|setting| setting.name.len()).max().unwrap_or_default();
    let settings = info
        .settings
        .iter()
        .map(|Row { name, value, origin }| format!("  {name:<width$} = {value}  ({origin})\n"));
    host.chain(["settings:\n".to_owned()]).chain(settings).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_xen_is_described_too() {
        let settings =
            [Row { name: "memory", value: "256 MiB".to_owned(), origin: "VXN_MEMORY".to_owned() }];
        let info = Info {
            version: "1.2.3",
            kernel: "6.1.0".to_owned(),
            host: None,
            host_error: Some("no Xen here".to_owned()),
            settings: &settings,
        };
        let expected = "vxn:                1.2.3\n\
                        kernel of Dom0:     6.1.0\n\
                        Xen:                no Xen here\n\
                        settings:\n  memory = 256 MiB  (VXN_MEMORY)\n";
        assert_eq!(text(&info), expected);
    }
}
