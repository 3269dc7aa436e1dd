//! `--filter`: which volumes are meant.

use std::str::FromStr;

use anyhow::{Context, bail};

use crate::volume::Volume;

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// No container uses it, or one does.
    Dangling(bool),
    /// Its name has this in it.
    Name(String),
    /// It has this label, and this value if there is one.
    Label(String, Option<String>),
    /// It has not.
    NoLabel(String, Option<String>),
    /// It is of this kind.
    Driver(String),
}

impl FromStr for Filter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Filter> {
        let (key, value) = text.split_once('=').context("a filter is written KEY=VALUE")?;
        let label = |text: &str| match text.split_once('=') {
            Some((label, value)) => (label.to_owned(), Some(value.to_owned())),
            None => (text.to_owned(), None),
        };
        Ok(match key {
            "dangling" => match value {
                "true" | "1" => Filter::Dangling(true),
                "false" | "0" => Filter::Dangling(false),
                _ => bail!("dangling is true or false"),
            },
            "name" => Filter::Name(value.to_owned()),
            "driver" => Filter::Driver(value.to_owned()),
            "label" => {
                let (label, value) = label(value);
                Filter::Label(label, value)
            }
            "label!" => {
                let (label, value) = label(value);
                Filter::NoLabel(label, value)
            }
            _ => bail!("no filter {key:?}: there are dangling, name, driver, label, label!"),
        })
    }
}

impl Filter {
    /// Whether it holds for a volume that containers use or not.
    pub fn holds(&self, volume: &Volume, used: bool) -> bool {
        let has = |label: &String, value: &Option<String>| {
            let found = volume.labels.get(label);
            found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
        };
        match self {
            Filter::Dangling(dangling) => *dangling != used,
            Filter::Name(part) => volume.name.as_str().contains(part),
            Filter::Driver(driver) => driver == "local",
            Filter::Label(label, value) => has(label, value),
            Filter::NoLabel(label, value) => !has(label, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn filters_are_dockers() {
        let labels = BTreeMap::from([("a".to_owned(), "b".to_owned())]);
        let volume = Volume::new("data".parse().unwrap(), labels);
        for (text, holds) in [
            ("dangling=true", true),
            ("dangling=0", false),
            ("name=at", true),
            ("name=x", false),
            ("driver=local", true),
            ("driver=nfs", false),
            ("label=a", true),
            ("label=a=b", true),
            ("label=a=c", false),
            ("label!=a", false),
            ("label!=c", true),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap().holds(&volume, false), holds, "{text}");
        }
        for text in ["", "dangling=maybe", "x=y", "label"] {
            assert!(text.parse::<Filter>().is_err(), "{text}");
        }
    }
}
