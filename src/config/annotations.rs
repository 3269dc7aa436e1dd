//! Which annotations a bundle may set its DomU's properties by.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::str::FromStr;

use serde::Serialize;

/// An annotation that means something to vxn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Annotation {
    /// The guest's initramfs.
    Initramfs,
    /// The guest's kernel.
    Kernel,
    /// Memory of the DomU.
    Memory,
    /// The guest type.
    Type,
    /// Virtual CPUs of the DomU.
    Vcpus,
}

impl Annotation {
    const ALL: [Annotation; 5] = [
        Annotation::Initramfs,
        Annotation::Kernel,
        Annotation::Memory,
        Annotation::Type,
        Annotation::Vcpus,
    ];

    /// Its name after `org.vxn.`.
    pub fn word(self) -> &'static str {
        match self {
            Annotation::Initramfs => "initramfs",
            Annotation::Kernel => "kernel",
            Annotation::Memory => "memory",
            Annotation::Type => "type",
            Annotation::Vcpus => "vcpus",
        }
    }

    /// The one of that name.
    pub fn of(word: &str) -> Option<Annotation> {
        Annotation::ALL.into_iter().find(|annotation| annotation.word() == word)
    }
}

/// Those that are honoured: `memory,vcpus`; none is an empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Annotations(BTreeSet<Annotation>);

impl Annotations {
    /// Whether this one is.
    pub fn allow(&self, annotation: Annotation) -> bool {
        self.0.contains(&annotation)
    }
}

impl FromStr for Annotations {
    type Err = String;

    fn from_str(text: &str) -> Result<Annotations, String> {
        let all = || Annotation::ALL.map(Annotation::word).join(", ");
        let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
        let one =
            |word| Annotation::of(word).ok_or_else(|| format!("{word:?} is none of {}", all()));
        words.map(one).collect::<Result<_, _>>().map(Annotations)
    }
}

impl Display for Annotations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.0.iter().map(|annotation| annotation.word()).collect();
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_and_shown() {
        let some: Annotations = " vcpus, memory".parse().unwrap();
        assert!(some.allow(Annotation::Memory) && !some.allow(Annotation::Kernel));
        assert_eq!(some.to_string(), "memory,vcpus");
        assert_eq!("".parse(), Ok(Annotations::default()));
        assert!("memory,cpu".parse::<Annotations>().unwrap_err().contains("\"cpu\" is none of"));
    }
}
