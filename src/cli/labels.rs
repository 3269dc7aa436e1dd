//! `--label`, `--label-file` and `--annotation`, as docker has them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::Args;

/// Labels of a container.
pub type Labels = BTreeMap<String, String>;

/// The flags that give a container labels, and annotations, which are much the same but
/// for a runtime to read.
#[derive(Debug, Clone, Default, Args)]
pub struct LabelFlags {
    /// Give the container a label.
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = label)]
    label: Vec<(String, String)>,
    /// Read labels from a file, one KEY[=VALUE] a line.
    #[arg(long, value_name = "FILE")]
    label_file: Vec<PathBuf>,
    /// Give the container an annotation, which `vxn inspect` shows.
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = annotation)]
    annotation: Vec<(String, String)>,
}

impl LabelFlags {
    /// The image's labels, and over them those of the files and of the flags.
    ///
    /// # Errors
    /// A file that cannot be read, or holds a line that is no label.
    pub fn over(&self, mut labels: Labels) -> anyhow::Result<Labels> {
        for file in &self.label_file {
            labels.extend(read(file)?);
        }
        labels.extend(self.label.iter().cloned());
        Ok(labels)
    }

    /// The annotations; the last of a key counts.
    pub fn annotations(&self) -> BTreeMap<String, String> {
        self.annotation.iter().cloned().collect()
    }
}

fn read(file: &Path) -> anyhow::Result<Labels> {
    let shown = file.display();
    let text =
        fs::read_to_string(file).with_context(|| format!("cannot read the label file {shown}"))?;
    let lines = text.lines().map(str::trim_start);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| label(line).map_err(|why| anyhow!("{shown}: {why}"))).collect()
}

/// `KEY=VALUE`; `KEY` alone has no value.
pub fn label(text: &str) -> Result<(String, String), String> {
    pair(text).ok_or_else(|| format!("{text:?} names no label"))
}

fn annotation(text: &str) -> Result<(String, String), String> {
    pair(text).ok_or_else(|| format!("{text:?} names no annotation"))
}

fn pair(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let good = !key.is_empty() && !key.contains(char::is_whitespace);
    good.then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_come_after_files_and_files_after_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("labels");
        fs::write(&file, "# comment\n\n  file=yes\nboth=file\nall=file\nbare\n").unwrap();
        let pair = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let flags = LabelFlags {
            label: vec![label("both=flag=x").unwrap(), label("all=flag").unwrap()],
            label_file: vec![file.clone()],
            annotation: vec![annotation("a.b/c=1=2").unwrap(), annotation("bare").unwrap()],
        };
        let image = [("image", "yes"), ("all", "image")].map(pair).into();
        let expected =
            [("image", "yes"), ("file", "yes"), ("both", "flag=x"), ("all", "flag"), ("bare", "")];
        assert_eq!(flags.over(image).unwrap(), expected.map(pair).into());
        let annotations = [("a.b/c", "1=2"), ("bare", "")].map(pair);
        assert_eq!(flags.annotations(), annotations.into());

        fs::write(&file, "two words=1\n").unwrap();
        let error = flags.over(Labels::new()).unwrap_err().to_string();
        assert!(error.contains("labels: \"two words=1\" names no label"), "{error}");
        assert!(label("=x").is_err() && label("").is_err());
    }
}
