//! Which volumes containers use: the one place that the volume verbs ask.

use std::collections::BTreeMap;
use std::path::Path;

use super::definition::Definition;
use super::mounts::{Mount, Source};
use super::store::{Containers, Error};
use crate::volume::{self, Name, Volume, Volumes};

/// The volumes of all containers below `root`, alive or not, each with the names of
/// its containers.
pub fn in_use(root: &Path) -> Result<BTreeMap<Name, Vec<String>>, Error> {
    let mut found: BTreeMap<Name, Vec<String>> = BTreeMap::new();
    for definition in Containers::new(root).list()? {
        for name in definition.mounts.iter().filter_map(Mount::volume) {
            found.entry(name.clone()).or_default().push(definition.name.to_string());
        }
    }
    Ok(found)
}

/// Makes the volumes of a new container that are not there.
pub fn make(root: &Path, definition: &Definition) -> Result<(), Error> {
    let volumes = Volumes::new(root);
    for mount in &definition.mounts {
        if let Source::Volume { name, anonymous, .. } = &mount.source {
            let volume = Volume::new(name.clone(), BTreeMap::new());
            volumes.create(if *anonymous { volume.unnamed() } else { volume })?;
        }
    }
    Ok(())
}

/// Removes the volumes that were made for a container which is gone, unless another
/// one has taken them over.
pub fn remove_anonymous(root: &Path, definition: &Definition) -> Result<(), Error> {
    let mut own = definition.mounts.iter().filter_map(|mount| match &mount.source {
        Source::Volume { name, anonymous: true, .. } => Some(name),
        _ => None,
    });
    let Some(first) = own.next() else { return Ok(()) };
    let (volumes, users) = (Volumes::new(root), in_use(root)?);
    for name in std::iter::once(first).chain(own) {
        let users = users.get(name).map_or(&[][..], Vec::as_slice);
        match volumes.remove(name, users) {
            Ok(()) | Err(volume::Error::Unknown(_) | volume::Error::InUse { .. }) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::definition::tests::definition;
    use super::*;

    fn mount(name: &str, anonymous: bool) -> Mount {
        let source = Source::Volume { name: name.parse().unwrap(), anonymous, fill: true };
        Mount { source, destination: format!("/{name}"), read_only: false, options: vec![] }
    }

    #[test]
    fn volumes_come_with_a_container_and_the_nameless_go_with_it() {
        let root = tempfile::tempdir().unwrap();
        let (store, volumes) = (Containers::new(root.path()), Volumes::new(root.path()));
        let names = || -> Vec<String> {
            volumes.list().unwrap().iter().map(|volume| volume.name.to_string()).collect()
        };
        let mut fleeting = definition("fleeting");
        fleeting.remove = true;
        fleeting.mounts = vec![mount("named", false), mount("own", true), mount("lent", true)];
        store.add(&fleeting).unwrap();
        assert_eq!(names(), ["lent", "named", "own"]);
        let mut other = definition("other");
        other.mounts = vec![mount("lent", false), mount("others", true)];
        store.add(&other).unwrap();
        let users = in_use(root.path()).unwrap();
        assert_eq!(users[&"lent".parse().unwrap()].len(), 2);
        store.remove(&fleeting.id).unwrap();
        assert_eq!(names(), ["lent", "named", "others"]);
        store.remove(&other.id).unwrap();
        assert_eq!(names().len(), 3, "rm without -v");
        remove_anonymous(root.path(), &other).unwrap();
        assert_eq!(names(), ["lent", "named"]);
    }

    #[test]
    fn a_container_whose_volumes_cannot_be_made_leaves_nothing() {
        let root = tempfile::tempdir().unwrap();
        let store = Containers::new(root.path());
        let mut made = definition("web");
        made.mounts = vec![mount("own", true), mount("named", false)];
        // No file can be made in the place of the second one.
        let blocker = root.path().join("volumes/named");
        std::fs::create_dir_all(blocker.parent().unwrap()).unwrap();
        std::fs::write(&blocker, "").unwrap();
        store.add(&made).unwrap_err();
        assert_eq!(store.ids().unwrap(), []);
        assert!(!root.path().join("volumes/own").exists());
        std::fs::remove_file(&blocker).unwrap();
        store.add(&made).unwrap();
    }

    #[test]
    fn a_definition_of_before_has_no_mounts() {
        let mut json = serde_json::to_value(definition("old")).unwrap();
        json.as_object_mut().unwrap().remove("mounts");
        let read: Definition = serde_json::from_value(json).unwrap();
        assert!(read.mounts.is_empty());
    }
}
