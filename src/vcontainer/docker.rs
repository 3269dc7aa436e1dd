//! `docker run [OPTIONS] IMAGE [COMMAND]` as the shell tools hand it over: one
//! string, its quotes lost.

use crate::config::Memory;
use crate::image::ImageConfiguration;

/// Options that take a value, without their dashes. From docker's manual of
/// `docker run`, and podman's where it has more.
const WITH_VALUE: &[&str] = &[
    "add-host",
    "annotation",
    "attach",
    "blkio-weight",
    "blkio-weight-device",
    "cap-add",
    "cap-drop",
    "cgroup-parent",
    "cgroupns",
    "cidfile",
    "cpu-period",
    "cpu-quota",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "cpu-shares",
    "cpus",
    "cpuset-cpus",
    "cpuset-mems",
    "detach-keys",
    "device",
    "device-cgroup-rule",
    "device-read-bps",
    "device-read-iops",
    "device-write-bps",
    "device-write-iops",
    "dns",
    "dns-option",
    "dns-search",
    "domainname",
    "entrypoint",
    "env",
    "env-file",
    "expose",
    "gpus",
    "group-add",
    "health-cmd",
    "health-interval",
    "health-retries",
    "health-start-interval",
    "health-start-period",
    "health-timeout",
    "hostname",
    "ip",
    "ip6",
    "ipc",
    "isolation",
    "kernel-memory",
    "label",
    "label-file",
    "link",
    "link-local-ip",
    "log-driver",
    "log-opt",
    "mac-address",
    "memory",
    "memory-reservation",
    "memory-swap",
    "memory-swappiness",
    "mount",
    "name",
    "net",
    "network",
    "network-alias",
    "oom-score-adj",
    "pid",
    "pids-limit",
    "platform",
    "publish",
    "pull",
    "restart",
    "runtime",
    "secret",
    "security-opt",
    "shm-size",
    "stop-signal",
    "stop-timeout",
    "storage-opt",
    "sysctl",
    "tmpfs",
    "ulimit",
    "user",
    "userns",
    "uts",
    "volume",
    "volume-driver",
    "volumes-from",
    "workdir",
];

/// Options that are there or not.
const SWITCHES: &[&str] = &[
    "detach",
    "disable-content-trust",
    "init",
    "interactive",
    "no-healthcheck",
    "oom-kill-disable",
    "privileged",
    "publish-all",
    "quiet",
    "read-only",
    "replace",
    "rm",
    "sig-proxy",
    "tty",
];

/// The letters of options.
const LETTERS: &[(char, &str)] = &[
    ('a', "attach"),
    ('c', "cpu-shares"),
    ('d', "detach"),
    ('e', "env"),
    ('h', "hostname"),
    ('i', "interactive"),
    ('l', "label"),
    ('m', "memory"),
    ('p', "publish"),
    ('P', "publish-all"),
    ('q', "quiet"),
    ('t', "tty"),
    ('u', "user"),
    ('v', "volume"),
    ('w', "workdir"),
];

/// Those that the shell tools deal with themselves, or that mean nothing for a
/// DomU that ends with its command.
const ELSEWHERE: &[&str] = &[
    "detach",
    "interactive",
    "name",
    "network",
    "net",
    "publish",
    "quiet",
    "rm",
    "sig-proxy",
    "tty",
];

/// What was asked for.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct RunWords {
    /// The image, as it was written.
    pub image: String,
    /// What follows it, as it was written.
    pub command: String,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// The working directory.
    pub workdir: Option<String>,
    /// In place of the image's entry point.
    pub entrypoint: Option<String>,
    /// Memory of the DomU.
    pub memory: Option<Memory>,
    /// Virtual CPUs of the DomU.
    pub cpus: Option<u32>,
    /// Options that these guests cannot follow.
    pub ignored: Vec<String>,
}

/// Why the words are not understood.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    /// No option of docker's or podman's: whether it has a value is unknown, so
    /// the image is too.
    #[error("unknown option {0} of `run`")]
    Unknown(String),
    /// An option without its value.
    #[error("option {0} of `run` needs a value")]
    NoValue(String),
    /// A value that is none.
    #[error("option --{name} of `run`: {value:?}: {why}")]
    Value {
        /// The option.
        name: &'static str,
        /// The value.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// Options and no image.
    #[error("`run` needs an image")]
    NoImage,
}

/// Reads `docker run …` or `podman run …`; `None` for any other command.
pub fn parse(text: &str) -> Result<Option<RunWords>, Error> {
    let mut words = Words { rest: text };
    match (words.next(), words.next()) {
        (Some(_), Some("run")) => {}
        _ => return Ok(None),
    }
    let mut run = RunWords::default();
    while let Some(word) = words.next() {
        if word == "--" {
            run.image = words.next().ok_or(Error::NoImage)?.to_owned();
        } else if let Some(option) = word.strip_prefix("--") {
            long(&mut run, option, &mut words)?;
            continue;
        } else if let Some(letters) = word.strip_prefix('-').filter(|l| !l.is_empty()) {
            short(&mut run, letters, &mut words)?;
            continue;
        } else {
            run.image = word.to_owned();
        }
        run.command = words.rest.trim().to_owned();
        return Ok(Some(run));
    }
    Err(Error::NoImage)
}

/// The words of a text, and what is left of it.
struct Words<'a> {
    rest: &'a str,
}

impl<'a> Words<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let text = self.rest.trim_start();
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        let (word, rest) = text.split_at(end);
        self.rest = rest;
        (!word.is_empty()).then_some(word)
    }
}

fn long(run: &mut RunWords, option: &str, words: &mut Words<'_>) -> Result<(), Error> {
    let (name, value) = match option.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (option, None),
    };
    if let Some(name) = WITH_VALUE.iter().find(|known| **known == name) {
        let value = value.or_else(|| words.next());
        return run.set(name, value.ok_or_else(|| Error::NoValue(format!("--{name}")))?);
    }
    match SWITCHES.iter().find(|known| **known == name) {
        Some(name) => {
            run.switch(name);
            Ok(())
        }
        None => Err(Error::Unknown(format!("--{name}"))),
    }
}

/// Letters in a row, the last of which may have its value glued to it.
fn short(run: &mut RunWords, letters: &str, words: &mut Words<'_>) -> Result<(), Error> {
    for (at, letter) in letters.char_indices() {
        let known = LETTERS.iter().find(|(known, _)| *known == letter);
        let Some((_, name)) = known else { return Err(Error::Unknown(format!("-{letter}"))) };
        if !WITH_VALUE.contains(name) {
            run.switch(name);
            continue;
        }
        let glued = letters[at + letter.len_utf8()..].trim_start_matches('=');
        let value = if glued.is_empty() { words.next() } else { Some(glued) };
        return run.set(name, value.ok_or_else(|| Error::NoValue(format!("-{letter}")))?);
    }
    Ok(())
}

impl RunWords {
    fn switch(&mut self, name: &'static str) {
        if !ELSEWHERE.contains(&name) {
            self.ignored.push(format!("--{name}"));
        }
    }

    fn set(&mut self, name: &'static str, value: &str) -> Result<(), Error> {
        let wrong = |why: String| Error::Value { name, value: value.to_owned(), why };
        match name {
            "env" => self.env.push(value.to_owned()),
            "workdir" => self.workdir = Some(value.to_owned()),
            "entrypoint" => self.entrypoint = Some(value.to_owned()),
            "memory" => self.memory = Some(value.parse().map_err(wrong)?),
            "cpus" => {
                let cpus: f64 = value.parse().map_err(|_| wrong("not a number".to_owned()))?;
                if !(cpus > 0.0 && cpus <= 128.0) {
                    return Err(wrong("not between 0 and 128".to_owned()));
                }
                self.cpus = Some(cpus.ceil() as u32);
            }
            name if ELSEWHERE.contains(&name) => {}
            name => self.ignored.push(format!("--{name}")),
        }
        Ok(())
    }

    /// The command for a shell in the container: the entry point and the command,
    /// the user's or the image's. `None` when nobody says what to run.
    pub fn resolve(&self, image: &ImageConfiguration) -> Option<String> {
        let image = image.config().as_ref();
        let of_image =
            |list: Option<&Option<Vec<String>>>| list.cloned().flatten().unwrap_or_default();
        let entry = match &self.entrypoint {
            Some(program) if program.is_empty() => Vec::new(),
            Some(program) => vec![program.clone()],
            None => of_image(image.map(|config| config.entrypoint())),
        };
        let mut words: Vec<String> = entry.iter().map(|word| quote(word)).collect();
        match (self.command.as_str(), &self.entrypoint) {
            ("", Some(_)) => {}
            ("", None) => {
                words.extend(of_image(image.map(|config| config.cmd())).iter().map(|w| quote(w)));
            }
            (command, _) => words.push(self.users(command, entry.is_empty())),
        }
        let command = words.join(" ");
        (!command.is_empty()).then(|| self.surround(command))
    }

    /// The guest has a shell run the command. Of `sh -c …`, whose quotes are lost,
    /// the rest was one word.
    fn users(&self, command: &str, alone: bool) -> String {
        let script = |shell| command.strip_prefix(shell).map(|script| (shell, script));
        match script("/bin/sh -c ").or_else(|| script("sh -c ")) {
            Some((_, script)) if alone => script.to_owned(),
            Some((shell, script)) => format!("{shell}{}", quote(script)),
            None => command.to_owned(),
        }
    }

    /// Sets the environment and the directory.
    fn surround(&self, command: String) -> String {
        let command = match &self.workdir {
            Some(dir) => format!("mkdir -p {0} && cd {0} && {command}", quote(dir)),
            None => command,
        };
        let env: String = self.env.iter().map(|entry| format!("{} ", quote(entry))).collect();
        match (env.as_str(), &self.workdir) {
            ("", None) => command,
            ("", Some(_)) => format!("/bin/sh -c {}", quote(&command)),
            (env, _) => format!("env {env}/bin/sh -c {}", quote(&command)),
        }
    }
}

/// A word for a shell.
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use oci_spec::image::{ConfigBuilder, ImageConfigurationBuilder, RootFs};

    use super::*;

    fn run(text: &str) -> RunWords {
        parse(text).unwrap().unwrap()
    }

    fn image(entry: &[&str], cmd: &[&str]) -> ImageConfiguration {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let config = ConfigBuilder::default().entrypoint(owned(entry)).cmd(owned(cmd)).build();
        ImageConfigurationBuilder::default()
            .config(config.unwrap())
            .architecture("amd64")
            .os("linux")
            .rootfs(RootFs::default())
            .build()
            .unwrap()
    }

    #[test]
    fn values_of_options_are_no_images() {
        for options in [
            "-u 1000",
            "--hostname web",
            "-it --rm",
            "-dp8080:80",
            "-p 1:1",
            "--dns=8.8.8.8",
            "--",
            "",
        ] {
            let found = run(&format!("docker run {options} alpine:3 df -h"));
            assert_eq!(
                (found.image.as_str(), found.command.as_str()),
                ("alpine:3", "df -h"),
                "{options}"
            );
        }
        assert_eq!(parse("docker images"), Ok(None));
        assert_eq!(parse("docker run --rm"), Err(Error::NoImage));
        assert_eq!(parse("docker run --nosuch x y"), Err(Error::Unknown("--nosuch".into())));
        assert_eq!(parse("docker run -e"), Err(Error::NoValue("-e".into())));
    }

    #[test]
    fn spaces_of_the_command_are_kept() {
        assert_eq!(run("podman run alpine echo  a   b ").command, "echo  a   b");
    }

    #[test]
    fn what_cannot_be_followed_is_named() {
        let found = run("docker run -v /a:/b --cap-add X --rm -m 64M --cpus 1.5 i");
        assert_eq!(found.ignored, ["--volume", "--cap-add"]);
        assert_eq!((found.memory.unwrap().kib(), found.cpus), (65536, Some(2)));
        assert!(parse("docker run --cpus 0 i").is_err());
    }

    #[test]
    fn entry_point_and_command_go_together_as_in_docker() {
        let resolve = |text: &str, image: &ImageConfiguration| run(text).resolve(image);
        let both = image(&["/entry", "-x"], &["default", "a b"]);
        assert_eq!(resolve("docker run i", &both).unwrap(), "/entry -x default 'a b'");
        assert_eq!(resolve("docker run i one two", &both).unwrap(), "/entry -x one two");
        assert_eq!(resolve("docker run --entrypoint ls i -l", &both).unwrap(), "ls -l");
        assert_eq!(
            resolve("docker run i sh -c a && b", &both).unwrap(),
            "/entry -x sh -c 'a && b'"
        );
        let plain = image(&[], &["sh", "-c", "echo hi && sleep 1"]);
        assert_eq!(resolve("docker run i", &plain).unwrap(), "sh -c 'echo hi && sleep 1'");
        assert_eq!(resolve("docker run i /bin/sh -c echo a; b", &plain).unwrap(), "echo a; b");
        assert_eq!(resolve("docker run i", &image(&[], &[])), None);
        assert_eq!(
            resolve("docker run -e A=b -w /x i pwd", &plain).unwrap(),
            "env A=b /bin/sh -c 'mkdir -p /x && cd /x && pwd'"
        );
    }

    #[test]
    fn words_are_quoted_when_they_have_to_be() {
        assert_eq!(quote("a-b/c"), "a-b/c");
        assert_eq!(quote(""), "''");
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
