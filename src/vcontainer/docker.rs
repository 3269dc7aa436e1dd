//! `docker run [OPTIONS] IMAGE [COMMAND]` as the shell tools hand it over: one
//! string, its quotes lost.

mod options;

use options::{ELSEWHERE, LETTERS, SWITCHES, WITH_VALUE};

use crate::config::Memory;
use crate::container::cpu::Cpus;
use crate::image::ImageConfiguration;

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
            "cpus" => self.cpus = Some(value.parse::<Cpus>().map_err(wrong)?.vcpus()),
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
mod tests;
