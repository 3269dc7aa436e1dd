//! `vxn system df`.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::{Value, json};

use super::super::format::{Format, Row, bytes, columns};
use super::super::image::{store, used};
use crate::config::Settings;
use crate::container::definition::Definition;
use crate::container::store::Containers;
use crate::container::volumes::in_use;
use crate::volume::Volumes;

/// `vxn system df`.
#[derive(Debug, Args)]
pub struct DfArgs {
    /// Print each line so: json, or text with {{.Field}} in it.
    #[arg(long, value_name = "FORMAT")]
    format: Option<Format>,
}

/// One kind of things, and what they take of the disk in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Kind {
    total: usize,
    active: usize,
    size: u64,
    reclaimable: u64,
}

impl Kind {
    fn add(&mut self, active: bool, size: u64) {
        self.total += 1;
        self.active += usize::from(active);
        self.size += size;
        self.reclaimable += if active { 0 } else { size };
    }

    /// A line, with docker's names for its fields.
    fn row(self, name: &str) -> Row {
        let share = (self.reclaimable * 100).checked_div(self.size).unwrap_or(0);
        let fields = json!({
            "Type": name,
            "TotalCount": self.total,
            "Active": self.active,
            "Size": bytes(self.size),
            "Reclaimable": format!("{} ({share}%)", bytes(self.reclaimable)),
        });
        fields.as_object().cloned().unwrap_or_default()
    }
}

/// Runs `vxn system df`.
pub fn run(args: &DfArgs, settings: &Settings) -> Result<ExitCode> {
    let rows = [
        images(settings)?.row("Images"),
        containers(settings)?.row("Containers"),
        volumes(settings)?.row("Local Volumes"),
    ];
    if let Some(format) = &args.format {
        print!("{}", format.render(&rows)?);
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let fields = ["Type", "TotalCount", "Active", "Size", "Reclaimable"];
    let mut lines =
        vec![["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"].map(str::to_owned).to_vec()];
    lines.extend(rows.iter().map(|row| fields.map(|field| text(&row[field])).to_vec()));
    print!("{}", columns(&lines));
    Ok(ExitCode::SUCCESS)
}

fn images(settings: &Settings) -> Result<Kind> {
    let usage = store(settings)?.usage(&used(settings)?)?;
    Ok(Kind {
        total: usage.images,
        active: usage.active,
        size: usage.bytes,
        reclaimable: usage.reclaimable,
    })
}

/// Active is what has a monitor.
fn containers(settings: &Settings) -> Result<Kind> {
    let store = Containers::new(&settings.root.value);
    let mut kind = Kind::default();
    for definition in store.list()? {
        let condition = store.condition(&definition.id, &settings.run.value)?;
        kind.add(condition.live().is_some(), layer_size(&store, &definition));
    }
    Ok(kind)
}

/// What a container's writable layer takes of the disk, in bytes: most of it is a hole.
pub(super) fn layer_size(store: &Containers, definition: &Definition) -> u64 {
    let meta = store.layer(definition).and_then(|path| fs::metadata(path).ok());
    meta.map_or(0, |meta| meta.blocks() * 512)
}

/// Active is what a container uses, alive or not.
fn volumes(settings: &Settings) -> Result<Kind> {
    let root = &settings.root.value;
    let (volumes, users) = (Volumes::new(root), in_use(root)?);
    let mut kind = Kind::default();
    for volume in volumes.list()? {
        kind.add(users.contains_key(&volume.name), volumes.size(&volume.name));
    }
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_active_is_not_reclaimable() {
        let mut kind = Kind::default();
        assert_eq!(kind.row("Containers")["Reclaimable"], "0B (0%)");
        kind.add(true, 3000);
        kind.add(false, 1000);
        assert_eq!(kind, Kind { total: 2, active: 1, size: 4000, reclaimable: 1000 });
        assert_eq!(kind.row("Containers")["Reclaimable"], format!("{} (25%)", bytes(1000)));
    }
}
