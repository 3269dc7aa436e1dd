//! Pull-and-prepare of a 100 MB image, side by side with podman, from the same
//! registry on this machine. No Xen is needed for it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comfy_table::{Cell, CellAlignment, Table};
use testbed::install::Programs;
use testbed::{images, tool};

use super::table::median;
use crate::packages;

/// The row's name, for `--only`.
pub const NAME: &str = "pull and prepare a 100 MB image";

/// What one pull took.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    /// Of the largest process.
    memory_mib: f64,
    disk_mib: f64,
}

const COLUMNS: [&str; 5] = ["", "wall, s", "CPU, s", "peak memory, MiB", "disk, MiB"];

/// Measures both and returns the table.
pub fn run(rounds: usize) -> Result<String> {
    packages::install()?;
    let vxn = Programs::build()?.vxn;
    let dir = tempfile::tempdir()?;
    let registry = Registry::start(dir.path())?;
    let name = format!("{}/debian:1", registry.host);
    let layout = images::get()?.join("debian");
    tool::run(
        tool::command("skopeo")
            .args(["copy", "-q", "--dest-tls-verify=false"])
            .args([format!("oci:{}", layout.display()), format!("docker://{name}")]),
    )?;
    let (mut ours, mut podmans) = (Vec::new(), Vec::new());
    // The first round fills caches and does not count.
    for round in 0..=rounds {
        eprintln!("xtask: measuring {NAME}, round {round} of {rounds}");
        let root = dir.path().join(format!("vxn-{round}"));
        let mut command = timed(&vxn);
        command.env("VXN_ROOT", &root).args(["pull", "--quiet", "--tls-verify=false", &name]);
        let vxn = cost(command, &root)?;
        let root = dir.path().join(format!("podman-{round}"));
        let mut command = timed(Path::new("podman"));
        command.arg("--root").arg(&root).arg("--runroot").arg(dir.path().join("podman-run"));
        command.args(["pull", "--quiet", "--tls-verify=false", &name]);
        let podman = cost(command, &root)?;
        if round > 0 {
            ours.push(vxn);
            podmans.push(podman);
        }
    }
    Ok(render(&ours, &podmans))
}

/// GNU time around a program: seconds, seconds of user and kernel, KiB.
fn timed(program: &Path) -> Command {
    let mut command = tool::command("time");
    command.args(["--quiet", "--format", "%e %U %S %M"]).arg(program);
    command
}

fn cost(mut command: Command, root: &Path) -> Result<Cost> {
    let output = command.stdin(Stdio::null()).output()?;
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{words}");
    let last = words.lines().last().unwrap_or_default();
    let numbers = last.split(' ').map(str::parse).collect::<Result<Vec<f64>, _>>();
    let [wall, user, system, kib] = numbers.with_context(|| last.to_owned())?[..] else {
        bail!("no figures of time: {last}");
    };
    let used = tool::output(tool::command("du").arg("-sk").arg(root))?;
    let used = String::from_utf8_lossy(&used).into_owned();
    let disk: f64 = used.split_whitespace().next().unwrap_or_default().parse()?;
    fs::remove_dir_all(root)?;
    Ok(Cost { wall, cpu: user + system, memory_mib: kib / 1024.0, disk_mib: disk / 1024.0 })
}

fn render(ours: &[Cost], podmans: &[Cost]) -> String {
    let mut table = Table::new();
    table.load_preset(comfy_table::presets::ASCII_MARKDOWN).set_header(COLUMNS);
    let of = |costs: &[Cost], field: fn(&Cost) -> f64| {
        median(&costs.iter().map(field).collect::<Vec<_>>()).unwrap_or_default()
    };
    let fields: [fn(&Cost) -> f64; 4] = [|c| c.wall, |c| c.cpu, |c| c.memory_mib, |c| c.disk_mib];
    let mut row = |name: &str, value: &dyn Fn(fn(&Cost) -> f64) -> f64| {
        let cells = fields.map(|field| format!("{:.2}", value(field)));
        let cells = cells.map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Cell::new(name)).chain(cells));
    };
    row("vxn pull", &|field| of(ours, field));
    row("podman pull", &|field| of(podmans, field));
    row("vxn/podman", &|field| of(ours, field) / of(podmans, field));
    let met = of(ours, |c| c.wall) <= of(podmans, |c| c.wall) && of(ours, |c| c.memory_mib) < 64.0;
    let mark = if met { "met" } else { "MISSED" };
    let rounds = ours.len();
    format!("{NAME}, medians of {rounds}; no slower than podman and below 64 MiB: {mark}.\n{table}")
}

/// Debian's docker-registry on loopback; dropping it ends it.
struct Registry {
    host: String,
    server: Child,
}

impl Registry {
    fn start(dir: &Path) -> Result<Registry> {
        let host = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let data: PathBuf = dir.join("registry");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'}}\n",
            data.display()
        );
        let file = dir.join("registry.yml");
        fs::write(&file, config)?;
        let mut command = tool::command("docker-registry");
        command.arg("serve").arg(&file).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = Registry { host, server: command.spawn()? };
        // It says nothing when it listens: connecting is the only way to know.
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&registry.host).is_err() {
            ensure!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(registry)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Both fail only for what has already ended.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
