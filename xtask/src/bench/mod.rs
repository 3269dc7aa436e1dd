//! `cargo xtask bench`: vxn against xl, and against the least that libxl takes.
//!
//! Every row is measured in Dom0 by a shell's clock, the sides taking turns, so
//! that what slows the machine slows both. Ratios travel to other machines,
//! seconds do not.

mod images;
mod rows;
mod table;

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testbed::{Dom0, Options, tool};

use crate::artifacts;
use rows::{Row, Side};

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How often each side of each row is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Measure only rows whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
}

/// The comparison programs in C; they end up in Dom0 at /usr/lib/bench.
const PROGRAMS: [(&str, &[&str]); 2] =
    [("floor", &["-lxenlight", "-lxentoollog"]), ("hotplug", &["-lxenstore"])];

/// The scripts beside them, and what makes guests for one of them.
const SCRIPTS: [&str; 6] = [
    "bench/daemon-run",
    "bench/daemons",
    "vcontainer/make-blobs",
    "vcontainer/preinit",
    "vcontainer/init",
    "vcontainer/udhcpc",
];

/// How long what surrounds a row may take: it may boot DomUs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Measures pulls here; then boots, measures all other rows and prints the tables.
pub fn run(args: &Args) -> Result<ExitCode> {
    if images::NAME.contains(&args.only) {
        println!("{}", images::run(args.rounds)?);
    }
    let mut rows = rows::all();
    rows.retain(|row| row.name.contains(&args.only));
    let mut pairs = rows::pairs();
    pairs.retain(|pair| pair.row.name.contains(&args.only));
    if rows.is_empty() && pairs.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let artifacts = artifacts::make()?;
    let dir = artifacts.install.dir().join("usr/lib/bench");
    compile(&dir)?;
    copy_scripts(&dir)?;
    eprintln!("xtask: booting Xen and Dom0 in QEMU");
    let dom0 = Dom0::boot(&Options {
        name: "bench".to_owned(),
        install: Some(artifacts.install.dir().to_owned()),
        images: Some(artifacts.images),
        share: None,
    })?;
    dom0.shell(rows::SETUP)?.success().context("the bench cannot be set up")?;
    let mut measured = Vec::new();
    for row in rows {
        let seconds = measure(&dom0, &row, args.rounds)?;
        // Whoever ends the bench early keeps what was measured.
        eprintln!("xtask: {}", table::summary(&row, &seconds));
        measured.push((row, seconds));
    }
    if !measured.is_empty() {
        println!("{}", table::render(&measured));
    }
    for pair in pairs {
        let seconds = measure(&dom0, &pair.row, args.rounds)?;
        println!("{}", table::pair(&pair, &seconds));
    }
    Ok(ExitCode::SUCCESS)
}

/// Compiles the programs that the floor is measured with.
fn compile(dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, libraries) in PROGRAMS {
        let source = format!(concat!(env!("CARGO_MANIFEST_DIR"), "/../testbed/bench/{}.c"), name);
        let mut cc = tool::command("cc");
        cc.args(["-O2", "-o"]).arg(dir.join(name)).arg(source).args(libraries);
        tool::run(&mut cc)?;
    }
    Ok(())
}

fn copy_scripts(dir: &Path) -> Result<()> {
    for script in SCRIPTS {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbed").join(script);
        let target = dir.join(script.strip_prefix("bench/").unwrap_or(script));
        std::fs::create_dir_all(target.parent().unwrap_or(dir))?;
        std::fs::copy(&source, &target)
            .with_context(|| format!("cannot copy {}", source.display()))?;
    }
    Ok(())
}

/// The seconds of every round, side by side, in the order of `row.sides`.
fn measure(dom0: &Dom0, row: &Row, rounds: usize) -> Result<Vec<Vec<f64>>> {
    eprintln!("xtask: measuring {}", row.name);
    surround(dom0, &row.first).with_context(|| format!("before {}", row.name))?;
    let mut seconds = vec![Vec::new(); row.sides.len()];
    // The first round fills caches and does not count.
    for round in 0..=rounds {
        for (side, seconds) in row.sides.iter().zip(&mut seconds) {
            let sample = sample(dom0, row, side)?;
            if round > 0 {
                seconds.push(sample);
            }
        }
    }
    surround(dom0, &row.last).with_context(|| format!("after {}", row.name))?;
    Ok(seconds)
}

/// What comes before or after a row.
fn surround(dom0: &Dom0, script: &str) -> Result<()> {
    dom0.command(["bash", "-c", script]).timeout(PATIENCE).run()?.success().map(drop)
}

/// One measurement: how long the command of `side` takes, in seconds.
fn sample(dom0: &Dom0, row: &Row, side: &Side) -> Result<f64> {
    let (before, after, command) = (&row.before, &row.after, &side.command);
    let own = &side.before;
    let script = format!(
        "exec 3>&1 >/tmp/bench.log 2>&1\n{before}\n{own}\n\
         start=$EPOCHREALTIME\n{command}\ncode=$?\nend=$EPOCHREALTIME\n\
         {after}\necho $code $start $end >&3\n[ $code = 0 ] || cat /tmp/bench.log >&3\n"
    );
    let bash = dom0.command(["bash", "-c", &script]).timeout(PATIENCE);
    let text = bash.run()?.success()?.text();
    let words: Vec<&str> = text.split(' ').collect();
    match words[..] {
        ["0", start, end] => Ok(end.parse::<f64>()? - start.parse::<f64>()?),
        _ => bail!("{command}: {text}"),
    }
}
