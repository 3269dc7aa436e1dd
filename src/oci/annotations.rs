//! Annotations `org.vxn.*` of a bundle: properties of its DomU that the specification has no
//! words for. Who may write a bundle is not who may choose what kernel runs on this host, so
//! only those count that the settings allow, and another one is refused.

use std::collections::HashMap;
use std::fmt::Display;
use std::path::Path;
use std::str::FromStr;

use super::error::refused;
use super::{Error, Result};
use crate::config::{Annotation, Annotations, Memory, TypeChoice};
use crate::container::cpu::MAX_VCPUS;
use crate::container::definition::Definition;

/// What the names of ours begin with.
const PREFIX: &str = "org.vxn.";

/// Gives a container what its annotations say.
///
/// # Errors
/// One that is not known, not allowed, or makes no sense.
pub fn apply(
    definition: &mut Definition,
    annotations: &HashMap<String, String>,
    allowed: &Annotations,
) -> Result<()> {
    let mut ours: Vec<_> = annotations
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix(PREFIX)?, name, value)))
        .collect();
    ours.sort();
    for (word, name, value) in ours {
        let annotation = Annotation::of(word)
            .ok_or_else(|| refused(format!("the annotation {name}"), "it is not known"))?;
        if !allowed.allow(annotation) {
            let why = "`oci_annotations` in the settings file does not allow it";
            return Err(refused(format!("the annotation {name}"), why));
        }
        set(definition, annotation, value).map_err(|why| Error::Annotation {
            name: name.clone(),
            value: value.clone(),
            why,
        })?;
    }
    Ok(())
}

fn set(
    definition: &mut Definition,
    annotation: Annotation,
    value: &str,
) -> std::result::Result<(), String> {
    match annotation {
        Annotation::Initramfs => definition.initramfs = Some(file(value)?.into()),
        Annotation::Kernel => definition.kernel = Some(file(value)?.into()),
        Annotation::Memory => definition.memory_kib = parsed::<Memory>(value)?.kib(),
        Annotation::Type => definition.guest_type = parsed::<TypeChoice>(value)?,
        Annotation::Vcpus => {
            let vcpus = parsed::<u32>(value)?;
            if !(1..=MAX_VCPUS).contains(&vcpus) {
                return Err(format!("a DomU has from 1 to {MAX_VCPUS} virtual CPUs"));
            }
            definition.vcpus = vcpus;
        }
    }
    Ok(())
}

fn parsed<T: FromStr<Err: Display>>(value: &str) -> std::result::Result<T, String> {
    value.parse().map_err(|e: T::Err| e.to_string())
}

fn file(value: &str) -> std::result::Result<&Path, String> {
    let path = Path::new(value);
    if path.is_absolute() { Ok(path) } else { Err("it is no absolute path".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::definition::tests::definition;

    fn applied(allowed: &str, list: &[(&str, &str)]) -> std::result::Result<Definition, String> {
        let mut web = definition("web");
        let pair = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
        let annotations = list.iter().map(pair).collect();
        let done = apply(&mut web, &annotations, &allowed.parse().unwrap());
        done.map(|()| web).map_err(|e| e.to_string())
    }

    #[test]
    fn what_is_allowed_is_honoured() {
        let web = applied(
            "kernel,initramfs,memory,type,vcpus",
            &[
                ("org.vxn.kernel", "/boot/k"),
                ("org.vxn.initramfs", "/boot/i"),
                ("org.vxn.memory", "512M"),
                ("org.vxn.type", "pvh"),
                ("org.vxn.vcpus", "3"),
                ("org.example", "x"),
            ],
        )
        .unwrap();
        assert_eq!(web.kernel.as_deref(), Some(Path::new("/boot/k")));
        assert_eq!(web.initramfs.as_deref(), Some(Path::new("/boot/i")));
        assert_eq!((web.memory_kib, web.vcpus), (512 << 10, 3));
        assert_eq!(web.guest_type, TypeChoice::Pvh);
    }

    #[test]
    fn what_is_not_is_refused_by_name() {
        let error = applied("memory", &[("org.vxn.kernel", "/k")]).unwrap_err();
        assert!(error.contains("org.vxn.kernel") && error.contains("oci_annotations"), "{error}");
        assert!(applied("", &[("org.vxn.memory", "1G")]).is_err());
        assert!(applied("memory", &[("org.vxn.ram", "1G")]).unwrap_err().contains("not known"));
        let all = "kernel,memory,type,vcpus";
        for (name, value) in
            [("kernel", "boot/k"), ("memory", "x"), ("type", "hvm"), ("vcpus", "0")]
        {
            let error = applied(all, &[(&format!("org.vxn.{name}"), value)]).unwrap_err();
            assert!(error.contains(name) && error.contains(value), "{error}");
        }
    }
}
