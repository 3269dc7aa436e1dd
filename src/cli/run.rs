//! `vxn run`.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use super::cidfile::CidFile;
use super::engine::need_root;
use super::exec;
use super::failure::Failure;
use super::prepare;
use super::spec::SpecArgs;
use crate::config::Settings;
use crate::container::front::{self, Stay};
use crate::container::keys::DetachKeys;
use crate::container::order::{Attach, Order};
use crate::container::report::Report;
use crate::container::talk::{Outcome, Outputs};
use crate::container::terminal;

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
    /// Show this stream only: stdout or stderr. stdin is carried with -i in any case.
    #[arg(
        short,
        long,
        value_name = "STREAM",
        value_enum,
        ignore_case = true,
        conflicts_with = "detach"
    )]
    attach: Vec<Stream>,
    /// Pass signals on to the process; else they end this command, and the container
    /// goes on.
    #[arg(
        long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set
    )]
    sig_proxy: bool,
    #[command(flatten)]
    spec: SpecArgs,
}

/// What of a process can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stream {
    /// Its input.
    Stdin,
    /// Its output.
    Stdout,
    /// Its errors.
    Stderr,
}

/// Runs a container, to its end unless it is detached.
pub fn run(args: RunArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    need_root("run")?;
    let (tty, stdin) = (args.spec.tty, args.spec.interactive);
    let attach = if args.detach { Attach::Detached } else { attach(tty, stdin, args.sig_proxy)? };
    let cidfile = args.spec.cidfile.clone();
    let plan = prepare::plan(prepare::definition(args.spec, settings)?, settings)?;
    let id = plan.definition.id.clone();
    let cidfile = CidFile::write(cidfile, &id)?;
    let order = Order { plan, create: true, attach };
    let keys = args.detach_keys.unwrap_or_default();
    let stay = Stay { keys, outputs: outputs(&args.attach), sig_proxy: args.sig_proxy };
    let outcome = front::run(&order, stay).context("cannot start the container's monitor")?;
    cidfile.keep();
    if matches!(outcome, Outcome::Left) && args.detach {
        writeln!(io::stdout(), "{id}")?;
    }
    Ok(exec::code(outcome))
}

/// What becomes of the streams of a process that is started here, whose signals are
/// this command's with `sig_proxy`. Without it the command may go before the process.
pub fn attach(tty: bool, stdin: bool, sig_proxy: bool) -> anyhow::Result<Attach> {
    if !tty && sig_proxy {
        return Ok(Attach::Inherited);
    }
    if tty && stdin && !io::stdin().is_terminal() {
        bail!("the input device is not a TTY");
    }
    Ok(Attach::Carried { stdin, size: if tty { terminal::size() } else { None } })
}

/// What `--attach` leaves of the outputs; said of none, it is said of both.
fn outputs(attach: &[Stream]) -> Outputs {
    if attach.is_empty() {
        return Outputs::BOTH;
    }
    let [stdout, stderr] = [Stream::Stdout, Stream::Stderr].map(|stream| attach.contains(&stream));
    Outputs { stdout, stderr }
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
    fn only_the_streams_that_are_attached_are_shown() {
        let shown = |words: &[&str]| {
            let outputs = outputs(&parse(&[words, &["image"]].concat()).attach);
            (outputs.stdout, outputs.stderr)
        };
        assert_eq!(shown(&[]), (true, true));
        assert_eq!(shown(&["-a", "STDOUT"]), (true, false));
        assert_eq!(shown(&["-a", "stderr", "--attach=stdout"]), (true, true));
        assert_eq!(shown(&["-a", "stdin"]), (false, false));
        for bad in [&["-a", "output"][..], &["-d", "-a", "stdout"]] {
            assert!(Line::try_parse_from([&["run"], bad, &["image"]].concat()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn who_may_leave_carries_the_streams() {
        assert!(parse(&["image"]).sig_proxy && parse(&["--sig-proxy", "image"]).sig_proxy);
        assert!(!parse(&["--sig-proxy=false", "image"]).sig_proxy);
        assert_eq!(attach(false, true, true).unwrap(), Attach::Inherited);
        let carried = Attach::Carried { stdin: true, size: None };
        assert_eq!(attach(false, true, false).unwrap(), carried);
    }

    #[test]
    fn what_follows_the_image_is_the_commands_own() {
        let words = ["image", "printf", "", "-m", "--rm", "-rm", "--", "a b", "-e"];
        assert_eq!(parse(&[&["-i"], &words[..]].concat()).spec.words, words);
    }
}
