//! The reader of layouts held to generated and to damaged documents.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

struct Fixture {
    dir: tempfile::TempDir,
    layout: Layout,
}

impl Fixture {
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("blobs/sha256")).unwrap();
        let layout = Layout::at(dir.path());
        Fixture { dir, layout }
    }

    fn add(&self, media: &str, value: &Value) -> Value {
        let text = value.to_string();
        let digest = Digest::of(text.as_bytes());
        fs::write(self.layout.blob(&digest), &text).unwrap();
        json!({"mediaType": media, "digest": digest.to_string(), "size": text.len()})
    }

    fn index(&self, manifests: &[Value]) {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(self.dir.path().join("index.json"), index.to_string()).unwrap();
    }
}

/// A manifest in an index: its tag, its platform.
type Listed = (Option<&'static str>, Option<(&'static str, &'static str)>);

fn listed() -> impl Strategy<Value = Listed> {
    let arch = select(&[platform::HOST, "s390x", "unknown"][..]);
    let os = select(&["linux", "linux", "windows", "unknown"][..]);
    (option::of(select(&["a", "b"][..])), option::of((os, arch)))
}

fn descriptor(number: usize, (tag, platform): &Listed) -> Value {
    let digest = Digest::of(&number.to_le_bytes()).to_string();
    let mut descriptor = json!({"mediaType": MANIFEST, "digest": digest, "size": 1});
    if let Some(tag) = tag {
        descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": tag});
    }
    if let Some((os, architecture)) = platform {
        descriptor["platform"] = json!({"os": os, "architecture": architecture});
    }
    descriptor
}

/// Every place in a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{i}"), found);
            }
        }
        Value::Object(items) => {
            for (key, item) in items {
                pointers(item, &format!("{at}/{}", key.replace('/', "~1")), found);
            }
        }
        _ => {}
    }
}

/// Puts something else at some place.
fn damage(document: &mut Value, (place, what): (usize, usize)) {
    let mut places = Vec::new();
    pointers(document, "", &mut places);
    let long = "x".repeat(1000);
    let others = [
        json!(null),
        json!(-1),
        json!(1.5e300),
        json!(""),
        json!(long),
        json!([]),
        json!({}),
        json!([{}]),
    ];
    if let Some(slot) = document.pointer_mut(&places[place % places.len()]) {
        *slot = others[what % others.len()].clone();
    }
}

fn image(fixture: &Fixture, damages: &[(usize, usize)]) -> Digest {
    let diff_ids = [Digest::of(b"1").to_string(), Digest::of(b"2").to_string()];
    let mut config = json!({"os": "linux", "architecture": platform::HOST, "created": "now",
        "config": {"Cmd": ["a"], "Env": ["A=b"], "ExposedPorts": {"80/tcp": {}},
            "Labels": {"a": "b"}, "Volumes": {"/v": {}}},
        "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": [{"empty_layer": true}]});
    let (first, rest) = damages.split_first().map_or((None, &[][..]), |(f, r)| (Some(*f), r));
    first.into_iter().for_each(|d| damage(&mut config, d));
    let config = fixture.add("application/vnd.oci.image.config.v1+json", &config);
    let layers: Vec<Value> = diff_ids
        .iter()
        .map(|digest| json!({"mediaType": LAYER, "digest": digest, "size": 1}))
        .collect();
    let mut manifest = json!({"schemaVersion": 2, "config": config, "layers": layers});
    rest.iter().for_each(|d| damage(&mut manifest, *d));
    let descriptor = fixture.add(MANIFEST, &manifest);
    descriptor["digest"].as_str().unwrap().parse().unwrap()
}

#[test]
fn a_sound_image_is_read() {
    let fixture = Fixture::new();
    let documents = fixture.layout.image(&image(&fixture, &[])).unwrap();
    assert_eq!(documents.layers.len(), 2);
    assert_eq!(documents.layers[1].diff_id, Digest::of(b"2"));
    assert_eq!(documents.blobs().count(), 3);
}

#[test]
fn containerds_full_names_are_tags_too() {
    let fixture = Fixture::new();
    let mut descriptor = descriptor(0, &(Some("latest"), None));
    descriptor["annotations"]["io.containerd.image.name"] = json!("docker.io/library/a:latest");
    fixture.index(&[descriptor]);
    for tag in ["latest", "docker.io/library/a:latest"] {
        assert!(fixture.layout.resolve(Some(tag), "r", &Platform::host()).is_ok());
    }
    assert!(fixture.layout.resolve(Some("a"), "r", &Platform::host()).is_err());
}

proptest! {
    #[test]
    fn the_chosen_image_has_the_tag_and_suits_the_host(
        list in vec(listed(), 0..6),
        tag in option::of(select(&["a", "b"][..])),
        nested in any::<bool>(),
    ) {
        let fixture = Fixture::new();
        let all: Vec<Value> = list.iter().enumerate().map(|(i, l)| descriptor(i, l)).collect();
        let suits = |l: &Listed| l.1.is_none_or(|p| p == ("linux", platform::HOST));
        let says = |l: &Listed| l.1.is_some();
        if nested {
            let inner = fixture.add(INDEX, &json!({"schemaVersion": 2, "manifests": all}));
            fixture.index(&[inner]);
        } else {
            fixture.index(&all);
        }
        let tagged = |l: &&Listed| nested || tag.is_none() || l.0 == tag;
        let names: BTreeSet<_> = list.iter().filter_map(|l| l.0).collect();
        let unclear = !nested && tag.is_none() && names.len() > 1;
        let best = list.iter().filter(tagged).filter(|l| suits(l)).min_by_key(|l| !says(l));
        let expected = best.filter(|_| !(unclear || nested && tag.is_some())).map(|best| {
            let number = list.iter().position(|l| std::ptr::eq(l, best)).unwrap();
            Digest::of(&number.to_le_bytes())
        });
        prop_assert_eq!(fixture.layout.resolve(tag, "r", &Platform::host()).ok(), expected);
    }

    #[test]
    fn damaged_documents_are_refused_or_read(
        damages in vec((any::<usize>(), any::<usize>()), 0..4)
    ) {
        let fixture = Fixture::new();
        let digest = image(&fixture, &damages);
        if let Ok(documents) = fixture.layout.image(&digest) {
            prop_assert!(documents.layers.len() <= 2);
        }
    }

    #[test]
    fn any_bytes_as_an_index_are_safe(bytes in vec(any::<u8>(), 0..200)) {
        let fixture = Fixture::new();
        fs::write(fixture.dir.path().join("index.json"), bytes).unwrap();
        let _ = fixture.layout.resolve(None, "r", &Platform::host());
    }
}
