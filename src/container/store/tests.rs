use super::super::definition::tests::definition;
use super::*;

#[test]
fn a_name_has_one_owner_and_is_free_after_it() {
    let root = tempfile::tempdir().unwrap();
    let store = Containers::new(root.path());
    let first = definition("web");
    store.add(&first).unwrap();
    let error = store.add(&definition("web")).unwrap_err();
    assert!(error.to_string().contains(first.id.short()), "{error}");
    assert_eq!(store.list().unwrap().len(), 1);
    store.remove(&first.id).unwrap();
    assert!(store.list().unwrap().is_empty());
    store.add(&definition("web")).unwrap();
    assert_eq!(fs::read_dir(root.path().join("tmp")).unwrap().count(), 0);
}

#[test]
fn containers_are_found_by_name_id_and_beginning() {
    let root = tempfile::tempdir().unwrap();
    let store = Containers::new(root.path());
    let (a, b) = (definition("a"), definition("b"));
    store.add(&a).unwrap();
    store.add(&b).unwrap();
    for word in ["a", a.id.as_str(), a.id.short()] {
        assert_eq!(store.find(word).unwrap().id, a.id, "{word}");
    }
    assert!(matches!(store.find("nobody"), Err(Error::NoSuchContainer(_))));
    assert!(matches!(store.find(""), Err(Error::NoSuchContainer(_))));
}

#[test]
fn a_new_name_frees_the_old_one() {
    let root = tempfile::tempdir().unwrap();
    let store = Containers::new(root.path());
    let (mut a, b) = (definition("x"), definition("y"));
    store.add(&a).unwrap();
    store.add(&b).unwrap();
    a.name = "y".parse().unwrap();
    assert!(matches!(store.update(&a), Err(Error::NameTaken { .. })));
    a.name = "z".parse().unwrap();
    store.update(&a).unwrap();
    assert_eq!(store.find("z").unwrap().id, a.id);
    assert!(store.find("x").is_err());
}

#[test]
fn a_link_of_a_killed_command_is_no_claim() {
    let root = tempfile::tempdir().unwrap();
    let store = Containers::new(root.path());
    fs::create_dir(root.path().join("names")).unwrap();
    symlink(definition("x").id.as_str(), root.path().join("names/web")).unwrap();
    store.add(&definition("web")).unwrap();
    assert!(store.find("web").is_ok());
}

#[test]
fn stale_names_are_swept_away_and_no_others() {
    let root = tempfile::tempdir().unwrap();
    let store = Containers::new(root.path());
    let web = definition("web");
    store.add(&web).unwrap();
    let names = root.path().join("names");
    symlink(web.id.as_str(), names.join("renamed")).unwrap();
    symlink(definition("x").id.as_str(), names.join("gone")).unwrap();
    store.sweep_names().unwrap();
    let left: Vec<_> = fs::read_dir(&names).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["web"]);
    assert_eq!(store.find("web").unwrap().id, web.id);
}
