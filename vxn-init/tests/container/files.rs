//! Work on the container's files.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use vxn_files::{Options, Root, pack, unpack_all};
use vxn_proto::{Container, ExitStatus, FileRequest, ProcessId, ToGuest};

use crate::host::{Host, MAIN, Output, shell};

/// The process that works.
const WORK: ProcessId = ProcessId(1);

/// A guest whose main process runs until its stdin ends.
fn busy(settings: &Container) -> Host {
    let mut host = Host::with(settings);
    let mut spec = shell("read line; echo $line; cat /srv/new; stat -c %u /srv/new");
    spec.stdin = true;
    host.started(MAIN, spec);
    host
}

fn work(host: &mut Host, request: FileRequest, input: Vec<u8>) -> Output {
    let stdin = request.takes_input();
    host.send(&ToGuest::Files { process: WORK, request });
    if stdin {
        host.feed_as(WORK, input);
    }
    let output = host.finish(WORK);
    host.messages.clear();
    output
}

fn packed(path: &str) -> FileRequest {
    FileRequest::Pack { path: path.into(), follow: false }
}

/// What is in an archive that the guest has sent.
fn unpacked(output: &Output) -> tempfile::TempDir {
    assert_eq!(output.status, ExitStatus::Code(0), "{}", String::from_utf8_lossy(&output.stderr));
    let dir = tempfile::tempdir().unwrap();
    let options = Options { owner: None, devices: false, bytes: 1 << 30, entries: 1 << 20 };
    let root = Root::open(dir.path()).unwrap();
    unpack_all(&root, Path::new("/"), &options, &mut &*output.stdout).unwrap();
    dir
}

pub fn files_go_out_and_in() {
    let mut host = busy(&Container::default());
    let dir = unpacked(&work(&mut host, packed("/etc/passwd"), Vec::new()));
    assert!(fs::read_to_string(dir.path().join("passwd")).unwrap().contains("/home/app"));
    // What is shared is there too, in its order; what only the processes see is not.
    let dir = unpacked(&work(&mut host, packed("/shared/."), Vec::new()));
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "read only");
    assert!(dir.path().join("deep/er").is_dir());
    let dir = unpacked(&work(&mut host, packed("/proc"), Vec::new()));
    assert_eq!(fs::read_dir(dir.path().join("proc")).unwrap().count(), 0);
    let missing = work(&mut host, packed("/none"), Vec::new());
    assert_eq!(missing.status, ExitStatus::Code(1));
    assert!(String::from_utf8_lossy(&missing.stderr).contains("could not find \"/none\""));

    fs::write(dir.path().join("new"), "from outside\n").unwrap();
    std::os::unix::fs::chown(dir.path().join("new"), Some(7), Some(8)).unwrap();
    let mut bytes = Vec::new();
    pack(&Root::open(dir.path()).unwrap(), Path::new("/new"), false, &mut bytes).unwrap();
    let into =
        |path: &str| FileRequest::Unpack { path: path.into(), any: false, keep_owners: true };
    let done = work(&mut host, into("/srv"), bytes.clone());
    assert_eq!(done.status, ExitStatus::Code(0), "{}", String::from_utf8_lossy(&done.stderr));
    let refused = work(&mut host, into("/shared/deep"), bytes);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Read-only"));
    host.type_in("in\n");
    assert_eq!(String::from_utf8(host.finish(MAIN).stdout).unwrap(), "in\nfrom outside\n7\n");
}

pub fn a_read_only_root_takes_nothing() {
    let mut host = busy(&Container { read_only: true, ..Container::default() });
    let mut bytes = Vec::new();
    pack(&Root::open(Path::new("/")).unwrap(), Path::new("/etc/passwd"), false, &mut bytes)
        .unwrap();
    let request = FileRequest::Unpack { path: b"/tmp".to_vec(), any: false, keep_owners: true };
    let refused = work(&mut host, request, bytes);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Read-only"));
}

pub fn a_layer_is_read_while_all_stand_still() {
    let mut host = busy(&Container::default());
    let dir = unpacked(&work(&mut host, FileRequest::Layer { freeze: true }, Vec::new()));
    let new = dir.path().join("added");
    assert_eq!(fs::metadata(&new).unwrap().mode() & 0o777, 0o640);
    let changes = work(&mut host, FileRequest::Changes, Vec::new());
    assert_eq!(changes.stdout, b"A/added\0");
    // It goes on.
    host.type_in("well\n");
    assert!(host.finish(MAIN).stdout.starts_with(b"well\n"));
}
