//! `vxn run`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::cidfile::CidFile;
use super::engine::need_root;
use super::failure::Failure;
use super::prepare;
use super::spec::SpecArgs;
use crate::config::Settings;
use crate::container::keys::DetachKeys;
use crate::container::order::{Attach, Order};
use crate::container::report::Report;
use crate::container::talk::Outcome;
use crate::container::{front, terminal};

/// Flags and words of `vxn run`.
#[derive(Debug, Args)]
#[command(
    // As docker has it: the last of a repeated flag counts, and -h is the host name.
    args_override_self = true,
    disable_help_flag = true,
    override_usage = "vxn run [OPTIONS] IMAGE [COMMAND] [ARG]...",
    after_help = "Examples:\n  vxn run --rm alpine echo hello\n  \
                  vxn run -it --rm debian bash\n  \
                  vxn run -d --name web --restart unless-stopped nginx\n  \
                  echo text | vxn run --rm -i oci:./busybox cat\n  \
                  vxn run --rm -p 8080:80 --name web nginx\n  \
                  vxn run --rm -m 512M --cpus 2 -e LANG=C --type pv debian make -j2"
)]
pub struct RunArgs {
    /// Leave the container running, and print its id.
    #[arg(short, long)]
    detach: bool,
    /// The keys that leave the container's terminal: ctrl-p,ctrl-q if not said.
    #[arg(long, value_name = "KEYS")]
    detach_keys: Option<DetachKeys>,
    #[command(flatten)]
    spec: SpecArgs,
}

/// Runs a container, to its end unless it is detached.
pub fn run(args: RunArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    need_root("run")?;
    let attach = attach(args.detach, args.spec.tty, args.spec.interactive)?;
    let cidfile = args.spec.cidfile.clone();
    let plan = prepare::plan(prepare::definition(args.spec, settings)?, settings)?;
    let id = plan.definition.id.clone();
    let cidfile = CidFile::write(cidfile, &id)?;
    let order = Order { plan, create: true, attach };
    let keys = args.detach_keys.unwrap_or_default();
    let outcome = front::run(&order, Some(keys)).context("cannot start the container's monitor")?;
    cidfile.keep();
    match outcome {
        Outcome::Ended(report) => Ok(exit(report)),
        Outcome::Left => {
            if args.detach {
                writeln!(io::stdout(), "{id}")?;
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// What becomes of the streams of a process that is started here.
pub fn attach(detach: bool, tty: bool, stdin: bool) -> anyhow::Result<Attach> {
    if detach {
        return Ok(Attach::Detached);
    }
    if !tty {
        return Ok(Attach::Inherited);
    }
    if stdin && !io::stdin().is_terminal() {
        bail!("the input device is not a TTY");
    }
    Ok(Attach::Carried { stdin, size: terminal::size() })
}

/// The exit code of a process, and what went wrong besides.
pub fn exit(report: Report) -> ExitCode {
    let code = report.code;
    match report.error {
        None => ExitCode::from(code),
        Some(_) => Failure::from(report).print(code),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArgs,
    }

    fn parse(words: &[&str]) -> RunArgs {
        Line::try_parse_from([&["run"], words].concat()).unwrap().run
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts_and_lists_grow() {
        let args = parse(&["-m", "64M", "-e", "A=1", "-m", "128M", "-e", "B=2", "image"]);
        assert_eq!(args.spec.memory, Some("128M".parse().unwrap()));
        assert_eq!(args.spec.env, ["A=1", "B=2"]);
    }

    #[test]
    fn what_follows_the_image_is_the_commands_own() {
        let words = ["image", "printf", "", "-m", "--rm", "-rm", "--", "a b", "-e"];
        assert_eq!(parse(&[&["-i"], &words[..]].concat()).spec.words, words);
    }
}
