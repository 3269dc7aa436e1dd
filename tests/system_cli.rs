//! `vxn system df` and `prune` over images, containers and volumes together. Needs
//! squashfs-tools.

#[path = "images/cli.rs"]
mod cli;
mod images;

use cli::Vxn;
use images::{Layout, Packing, arch, layers};
use tempfile::TempDir;

struct Fixture {
    _dir: TempDir,
    vxn: Vxn,
}

impl Fixture {
    /// With an image `app`, a container `web` of it that has a volume without a name, and a
    /// volume `data` that nobody uses.
    fn new() -> Fixture {
        let dir = tempfile::tempdir().unwrap();
        let layout = Layout::new(&dir.path().join("layout"));
        layout.tag("t", &layout.image(arch().0, &layers("x"), Packing::Gzip));
        let vxn = Vxn::new(dir.path());
        let source = format!("oci:{}:t", layout.dir.display());
        vxn.ok(&["pull", &source]);
        vxn.ok(&["tag", &source, "app"]);
        vxn.ok(&["rmi", &source]);
        vxn.ok(&["create", "--name", "web", "--label", "tier=front", "-v", "/srv", "app", "true"]);
        vxn.ok(&["volume", "create", "data"]);
        Fixture { _dir: dir, vxn }
    }

    /// How many images, containers and volumes there are, and how many of them are active.
    fn counts(&self) -> Vec<(String, String)> {
        let format = "{{.TotalCount}} {{.Active}}";
        let lines = self.vxn.ok(&["system", "df", "--format", format]);
        let pair = |line: &str| line.split_once(' ').map(|(a, b)| (a.to_owned(), b.to_owned()));
        lines.lines().map(|line| pair(line).unwrap()).collect()
    }

    #[track_caller]
    fn has(&self, counts: [(u32, u32); 3]) {
        let expected = counts.map(|(total, active)| (total.to_string(), active.to_string()));
        assert_eq!(self.counts(), expected);
    }
}

#[test]
fn df_knows_images_containers_and_volumes() {
    let fixture = Fixture::new();
    fixture.has([(1, 1), (1, 0), (2, 1)]);
    let table = fixture.vxn.ok(&["system", "df"]);
    let kinds: Vec<&str> = table.lines().map(|line| line.split("  ").next().unwrap()).collect();
    assert_eq!(kinds, ["TYPE", "Images", "Containers", "Local Volumes"]);
    let container = table.lines().nth(2).unwrap();
    assert!(container.contains("(100%)"), "its disk could go: {container}");
}

#[test]
fn prune_removes_what_nothing_needs_any_more() {
    let fixture = Fixture::new();
    let vxn = &fixture.vxn;
    vxn.ok(&["system", "prune", "--force", "--filter", "label=tier=back"]);
    vxn.ok(&["system", "prune", "--force", "--filter", "until=24h"]);
    fixture.has([(1, 1), (1, 0), (2, 1)]);

    let said = vxn.ok(&["system", "prune", "--force", "--filter", "label=tier=front"]);
    assert!(said.starts_with("Deleted Containers:\n") && said.contains("reclaimed"), "{said}");
    fixture.has([(1, 0), (0, 0), (2, 0)]);

    let said = vxn.ok(&["system", "prune", "--force", "--volumes"]);
    assert!(said.starts_with("Deleted Volumes:\n"), "{said}");
    fixture.has([(1, 0), (0, 0), (1, 0)]);
    assert_eq!(vxn.ok(&["volume", "ls", "-q"]), "data", "it has a name");

    let said = vxn.ok(&["system", "prune", "--force", "--all"]);
    assert!(said.contains("Untagged: docker.io/library/app:latest"), "{said}");
    fixture.has([(0, 0), (0, 0), (1, 0)]);
}

#[test]
fn prune_asks_and_refuses_what_it_cannot_do() {
    let fixture = Fixture::new();
    let vxn = &fixture.vxn;
    let error = vxn.fails(&["system", "prune"]);
    assert!(error.contains("nobody is there to confirm") && error.contains("--force"), "{error}");
    let both = ["system", "prune", "--force", "--volumes", "--filter", "until=24h"];
    assert!(vxn.fails(&both).contains("volumes have no such time"));
    let error = vxn.fails(&["system", "prune", "--force", "--filter", "dangling=true"]);
    assert!(error.contains("label or until only"), "{error}");
    fixture.has([(1, 1), (1, 0), (2, 1)]);
}
