//! `vxn volume ls` and `inspect`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::super::failure::Failure;
use super::super::format::{Format, Row, columns};
use super::filter::Filter;
use super::named;
use crate::config::Settings;
use crate::container::volumes::in_use;
use crate::volume::{Volume, Volumes};

/// Arguments of `vxn volume ls`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Print names only.
    #[arg(short, long)]
    quiet: bool,
    /// Only those with dangling=, name=, driver=, label= so.
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<Filter>,
    /// A line like '{{.Name}} {{.Mountpoint}}' for each, in place of the table.
    #[arg(long, value_name = "TEXT", conflicts_with = "quiet")]
    format: Option<Format>,
}

/// Arguments of `vxn volume inspect`.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// A line like '{{.Mountpoint}}' for each, in place of JSON.
    #[arg(short, long, value_name = "TEXT")]
    format: Option<Format>,
    /// Names.
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
}

/// Lists the volumes.
pub fn list(args: &ListArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let root = &settings.root.value;
    let (volumes, users) = (Volumes::new(root), in_use(root)?);
    let mut all = volumes.list()?;
    all.retain(|volume| {
        let used = users.contains_key(&volume.name);
        args.filter.iter().all(|filter| filter.holds(volume, used))
    });
    if let Some(format) = &args.format {
        let rows: Vec<Row> = all.iter().map(|volume| row(volume, &volumes)).collect();
        print!("{}", format.render(&rows)?);
    } else if args.quiet {
        all.iter().for_each(|volume| println!("{}", volume.name));
    } else {
        let mut lines = vec![["DRIVER", "VOLUME NAME"].map(str::to_owned).to_vec()];
        lines.extend(all.iter().map(|volume| vec!["local".to_owned(), volume.name.to_string()]));
        print!("{}", columns(&lines));
    }
    Ok(ExitCode::SUCCESS)
}

/// A line of the list, with docker's names for its fields.
fn row(volume: &Volume, volumes: &Volumes) -> Row {
    let labels = volume.labels.iter().map(|(key, value)| format!("{key}={value}"));
    let fields = [
        ("Name", volume.name.to_string()),
        ("Driver", "local".to_owned()),
        ("Scope", "local".to_owned()),
        ("Mountpoint", volumes.data(&volume.name).display().to_string()),
        ("Labels", labels.collect::<Vec<_>>().join(",")),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), Value::String(value))).collect()
}

/// Shows the volumes that there are; each that is not is named.
pub fn inspect(args: &InspectArgs, volumes: &Volumes) -> anyhow::Result<ExitCode> {
    let (mut found, mut code) = (Vec::new(), ExitCode::SUCCESS);
    for word in &args.names {
        match named(word).and_then(|name| volumes.find(&name)) {
            Ok(volume) => found.push(object(&volume, volumes)),
            Err(e) => code = Failure::from(anyhow::Error::from(e)).print(1),
        }
    }
    match &args.format {
        Some(format) => {
            let rows: Vec<Row> = found.iter().filter_map(|v| v.as_object().cloned()).collect();
            print!("{}", format.render(&rows)?);
        }
        None => println!("{}", serde_json::to_string_pretty(&found)?),
    }
    Ok(code)
}

/// A volume with docker's names for its parts.
fn object(volume: &Volume, volumes: &Volumes) -> Value {
    json!({
        "CreatedAt": volume.created.to_string(),
        "Driver": "local",
        "Labels": volume.labels,
        "Mountpoint": volumes.data(&volume.name),
        "Name": volume.name,
        "Options": {},
        "Scope": "local",
    })
}
