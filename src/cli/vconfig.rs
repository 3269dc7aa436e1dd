//! `vxn vconfig` and `vxn vstorage path`: settings, as vcontainer's shell tools
//! have them.

use std::fs;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::failure::Hint;
use crate::config::{FILE, Row, Settings};
use crate::state::write_atomic;

/// Show or change a setting.
#[derive(Debug, Args)]
pub struct VconfigArgs {
    /// The setting; without it all are shown.
    key: Option<String>,
    /// Its new value; without it the value is shown.
    value: Option<String>,
    /// Take the value that is built in.
    #[arg(long, requires = "key", conflicts_with = "value")]
    reset: bool,
}

/// What is left of `vxn vstorage`.
#[derive(Debug, Subcommand)]
pub enum VstorageVerb {
    /// Print where images and root disks are.
    Path,
}

/// Runs `vxn vstorage path`.
pub fn storage(verb: &VstorageVerb, settings: &Settings) -> ExitCode {
    let VstorageVerb::Path = verb;
    println!("{}", settings.root.value.display());
    ExitCode::SUCCESS
}

/// Runs `vxn vconfig`.
pub fn run(args: &VconfigArgs, settings: &Settings) -> Result<ExitCode> {
    let rows = settings.rows();
    let Some(key) = &args.key else {
        rows.iter().for_each(|row| println!("{}={}", row.name, row.value));
        return Ok(ExitCode::SUCCESS);
    };
    let row = find(&rows, key)?;
    match &args.value {
        None if !args.reset => println!("{}", row.value),
        value => change(Path::new(FILE), row.name, value.as_deref())?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The shell tools write dashes where the file has underscores.
fn find<'a>(rows: &'a [Row], key: &str) -> Result<&'a Row> {
    let name = key.replace('-', "_");
    match rows.iter().find(|row| row.name == name) {
        Some(row) => Ok(row),
        None => Err(anyhow::anyhow!("there is no setting {key}"))
            .context(Hint("`vxn vconfig` lists them".to_owned())),
    }
}

/// Writes the file anew; comments and all else in it stay.
fn change(file: &Path, name: &str, value: Option<&str>) -> Result<()> {
    let old = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(e).with_context(|| format!("cannot read {}", file.display())),
    };
    let new = edit(&old, name, value);
    // What vxn could not read any more is not written.
    Settings::parse(file, &new)?;
    let Some(dir) = file.parent() else { bail!("{}: no directory", file.display()) };
    fs::create_dir_all(dir)
        .and_then(|()| write_atomic(file, new.as_bytes()))
        .with_context(|| format!("cannot write {}", file.display()))
}

/// The text of a settings file, in which every key has a line of its own, with
/// another value for one of them.
fn edit(text: &str, name: &str, value: Option<&str>) -> String {
    let is_it = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == name);
    let new = value.map(|value| format!("{name} = {}", toml::Value::from(value)));
    let mut lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| is_it(line)).unwrap_or(lines.len());
    lines.retain(|line| !is_it(line));
    if let Some(new) = &new {
        lines.insert(at.min(lines.len()), new);
    }
    lines.iter().flat_map(|line| [line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_changes_and_the_others_stay() {
        let text = "# mine\nmemory = \"1G\"\nvcpus = 2\n";
        let changed = edit(text, "memory", Some("2G"));
        assert_eq!(changed, "# mine\nmemory = \"2G\"\nvcpus = 2\n");
        assert_eq!(edit(text, "memory", None), "# mine\nvcpus = 2\n");
        assert_eq!(edit("", "run", Some("/a \"b\"")), "run = '/a \"b\"'\n");
        assert_eq!(edit(text, "run", None), text);
    }

    #[test]
    fn a_value_that_vxn_cannot_read_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etc/vxn.toml");
        change(&file, "vcpus", Some("3")).unwrap();
        assert!(change(&file, "vcpus", Some("many")).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "vcpus = \"3\"\n");
        change(&file, "vcpus", None).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "");
    }
}
