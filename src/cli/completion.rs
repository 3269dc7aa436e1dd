//! `vxn completion` and `vxn man`: made of the command line itself, so they never lag
//! behind it.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// Write a shell's completions of vxn to stdout.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    vxn completion bash > /etc/bash_completion.d/vxn\n  \
    vxn completion zsh > /usr/share/zsh/site-functions/_vxn\n  \
    vxn completion fish > /usr/share/fish/vendor_completions.d/vxn.fish")]
pub struct CompletionArgs {
    /// Which shell.
    shell: Shell,
}

/// Write the man pages of vxn and its verbs.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  vxn man /usr/share/man/man1")]
pub struct ManArgs {
    /// The directory, which is made when it is not there.
    directory: PathBuf,
}

/// Writes completions.
pub fn completion(args: &CompletionArgs) -> anyhow::Result<ExitCode> {
    match io::stdout().write_all(&script(args.shell)) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e).context("cannot write"),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn script(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "vxn", &mut script);
    script
}

/// Writes man pages.
pub fn man(args: &ManArgs) -> anyhow::Result<ExitCode> {
    let dir = &args.directory;
    let written =
        fs::create_dir_all(dir).and_then(|()| clap_mangen::generate_to(Cli::command(), dir));
    written.with_context(|| format!("cannot write man pages to {}", dir.display()))?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verbs() -> Vec<String> {
        let mut cli = Cli::command();
        cli.build();
        let shown = cli.get_subcommands().filter(|verb| !verb.is_hide_set());
        shown.map(|verb| verb.get_name().to_owned()).collect()
    }

    #[test]
    fn each_shell_knows_each_verb_and_its_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in verbs().iter().map(String::as_str).chain(["no-stream", "cpuset-cpus"]) {
                assert!(script.contains(word), "{shell}: no {word}");
            }
        }
    }

    /// Where the shell is there, it has to read its script.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "a test asks the shells")]
    fn the_shells_can_read_their_scripts() {
        let dir = tempfile::tempdir().unwrap();
        for (shell, program) in [(Shell::Bash, "bash"), (Shell::Zsh, "zsh"), (Shell::Fish, "fish")]
        {
            let file = dir.path().join(program);
            fs::write(&file, script(shell)).unwrap();
            match std::process::Command::new(program).arg("-n").arg(&file).status() {
                Ok(status) => assert!(status.success(), "{program}"),
                Err(e) if e.kind() == io::ErrorKind::NotFound => println!("SKIPPED: no {program}"),
                Err(e) => panic!("{program}: {e}"),
            }
        }
    }

    #[test]
    fn each_verb_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        man(&ManArgs { directory: dir.path().join("man1") }).unwrap();
        for verb in verbs() {
            let page = dir.path().join(format!("man1/vxn-{verb}.1"));
            let text = fs::read_to_string(&page).unwrap_or_else(|e| panic!("{verb}: {e}"));
            assert!(text.contains(".SH SYNOPSIS") && text.len() > 200, "{verb}: {text}");
        }
    }
}
