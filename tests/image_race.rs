//! Pulls that compete, break off, and are killed, against a real registry. Needs
//! docker-registry, skopeo and squashfs-tools.

#[path = "images/cli.rs"]
mod cli;
mod images;
#[path = "images/registry.rs"]
mod registry;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cli::Vxn;
use images::{Layer, Layout, Packing, arch, digest};
use registry::{Registry, Setup};
use serde_json::Value;
use vxn::image::Digest;

/// A layer with so many bytes that nothing compresses, different for each seed.
fn noise(seed: u32, bytes: u32) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    let data: Vec<u8> = (0..bytes).map(|_| next()).collect();
    Layer::new().file(&format!("noise/{seed}"), &data).tar()
}

/// The blobs of an image, with their sizes.
fn blobs(layout: &Layout, image: &Value) -> BTreeMap<Digest, u64> {
    let bytes = fs::read(layout.blob(&digest(image))).unwrap();
    let manifest: Value = serde_json::from_slice(&bytes).unwrap();
    let layers = manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"]]);
    layers.map(|blob| (digest(blob), blob["size"].as_u64().unwrap())).collect()
}

fn leftovers(vxn: &Vxn) -> Vec<std::path::PathBuf> {
    fs::read_dir(vxn.root("tmp")).unwrap().map(|e| e.unwrap().path()).collect()
}

/// Starts a pull and reads its events until `enough` has seen so many.
fn pull_until(vxn: &Vxn, name: &str, enough: usize) -> Child {
    let mut child = vxn.command(&["pull", "--json", "--tls-verify=false", name]).spawn().unwrap();
    let events = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen = events.take(enough).filter(|line| line.is_ok()).count();
    assert_eq!(seen, enough, "it ended before it was killed");
    child
}

#[test]
fn ten_pulls_at_once_of_which_five_are_killed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("layout"));
    let registry = Registry::start(dir.path(), Setup::default());
    let vxn = &Vxn::new(dir.path());
    let shared: Vec<Vec<u8>> = (100..104).map(|seed| noise(seed, 1_000_000)).collect();
    // More than the buffers of a connection hold: what is killed is not all sent.
    let own = |seed: u32| noise(seed, if seed < 5 { 12_000_000 } else { 300_000 });
    let (mut doomed, mut spared) = (BTreeMap::new(), BTreeMap::new());
    let mut names = Vec::new();
    for seed in 0..10 {
        // Those that are killed share the first two layers, the others the last three.
        let (first, second) = if seed < 5 { (0, 1) } else { (1 + seed % 3, 1 + (seed + 1) % 3) };
        let layers = [shared[first as usize].clone(), shared[second as usize].clone(), own(seed)];
        let image = layout.image(arch().0, &layers, Packing::Gzip);
        registry.push(&layout, &image, &format!("race/{seed}:1"), &[]);
        if seed < 5 { &mut doomed } else { &mut spared }.extend(blobs(&layout, &image));
        names.push(format!("{}/race/{seed}:1", registry.host));
    }
    std::thread::scope(|scope| {
        for (number, name) in names.iter().enumerate() {
            scope.spawn(move || {
                if number >= 5 {
                    vxn.ok(&["pull", "--tls-verify=false", name]);
                    return;
                }
                // The first events: layers, and the download of the large one.
                let mut child = pull_until(vxn, name, 1 + number % 3);
                child.kill().unwrap();
                child.wait().unwrap();
            });
        }
    });
    // The next command keeps what the killed ones had whole, and clears up the rest.
    assert_eq!(vxn.ok(&["images", "-q"]).lines().count(), 5);
    assert_eq!(leftovers(vxn), Vec::<std::path::PathBuf>::new());
    let kept = whole(&vxn.root("images/blobs/sha256"));
    let before = registry.answers();
    for name in &names[..5] {
        vxn.ok(&["pull", "--tls-verify=false", name]);
    }
    assert_eq!(vxn.ok(&["system", "check"]), "The store is clean.");
    assert_eq!(vxn.ok(&["images", "-q"]).lines().count(), 10);
    let after = registry.answers();
    let count = |answers: &BTreeMap<Digest, Vec<u64>>, blob| answers.get(blob).map_or(0, Vec::len);
    for blob in doomed.keys() {
        let more = usize::from(!kept.contains(blob));
        assert_eq!(count(&after, blob), count(&before, blob) + more, "{blob}");
    }
    // Nobody who downloaded one of these was killed: five at once, and each came once.
    for (blob, size) in spared.iter().filter(|(blob, _)| !doomed.contains_key(blob)) {
        assert_eq!(after[blob], [*size], "{blob}");
    }
}

/// Between vxn and the registry: lets so many bytes of answers through, then
/// cuts every connection.
fn proxy(to: &str, budget: i64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let (to, left) = (to.to_owned(), Arc::new(AtomicI64::new(budget)));
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            if left.load(Ordering::SeqCst) <= 0 {
                continue;
            }
            let Ok(server) = TcpStream::connect(&to) else { continue };
            let (up, down) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || pass(up, server, None));
            let left = left.clone();
            std::thread::spawn(move || pass(down, client, Some(&left)));
        }
    });
    host
}

fn pass(mut from: TcpStream, mut to: TcpStream, left: Option<&AtomicI64>) {
    let mut buffer = vec![0; 1 << 14];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if left.is_some_and(|left| left.fetch_sub(n as i64, Ordering::SeqCst) < n as i64)
            || to.write_all(&buffer[..n]).is_err()
        {
            break;
        }
    }
    let ends = [from.shutdown(std::net::Shutdown::Both), to.shutdown(std::net::Shutdown::Both)];
    drop(ends.into_iter().collect::<io::Result<()>>());
}

#[test]
fn a_registry_that_stops_half_way_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout::new(&dir.path().join("layout"));
    let registry = Registry::start(dir.path(), Setup::default());
    let vxn = Vxn::new(dir.path());
    let layers: Vec<Vec<u8>> = (0..16).map(|seed| noise(seed, 1_000_000)).collect();
    let image = layout.image(arch().0, &layers, Packing::Gzip);
    registry.push(&layout, &image, "half:1", &[]);
    // skopeo copies six layers at a time: of these bytes, four are whole.
    let through = proxy(&registry.host, 11_000_000);
    let error = vxn.fails(&["pull", "--tls-verify=false", &format!("{through}/half:1")]);
    assert!(error.contains("cannot fetch"), "{error}");
    assert_eq!(leftovers(&vxn), Vec::<std::path::PathBuf>::new());
    assert_eq!(vxn.ok(&["images", "-q"]), "");

    let kept: Vec<Digest> = whole(&vxn.root("images/blobs/sha256"));
    assert!(kept.len() >= 4, "{kept:?}");
    vxn.ok(&["pull", "--tls-verify=false", &format!("{}/half:1", registry.host)]);
    assert_eq!(vxn.ok(&["system", "check"]), "The store is clean.");
    for blob in kept {
        assert_eq!(registry.answers()[&blob].len(), 1, "{blob} is fetched once");
    }
}

fn whole(dir: &Path) -> Vec<Digest> {
    let names = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name());
    names.map(|name| format!("sha256:{}", name.to_str().unwrap()).parse().unwrap()).collect()
}
