//! `vxn commit`.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use vxn_proto::FileRequest;

use super::engine::Engine;
use super::files;
use super::image::{self, Show};
use crate::config::Settings;
use crate::container::definition::{Definition, Text};
use crate::image::store::Commit;

/// Make an image of what a container has changed of its own.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vxn commit web web:fixed\n  \
                        vxn commit -m 'with curl' -c 'CMD [\"/srv/run\"]' web team/web:2")]
pub struct CommitArgs {
    /// Who has made it.
    #[arg(short, long, value_name = "TEXT")]
    author: Option<String>,
    /// Change the configuration: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL,
    /// USER, VOLUME or WORKDIR, as in a Dockerfile.
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<String>,
    /// A comment for the history.
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Have the container's processes stand still meanwhile.
    #[arg(
        short, long, value_name = "BOOL", default_value_t = true, default_missing_value = "true",
        num_args = 0..=1, require_equals = true, action = clap::ArgAction::Set
    )]
    pause: bool,
    /// Name or id.
    container: String,
    /// A name for the image.
    #[arg(value_name = "NAME[:TAG]")]
    name: Option<String>,
}

/// Commits a container.
pub fn run(args: &CommitArgs, settings: &Settings) -> anyhow::Result<ExitCode> {
    let engine = Engine::new("commit", settings)?;
    let definition = engine.store.find(&args.container)?;
    let name = args.name.as_ref().map(|text| image::tag_name(text, settings)).transpose()?;
    let store = image::store(settings)?;
    let parent = definition.image.digest;
    let mut config = store.config(&parent)?;
    of_container(&mut config, &definition);
    image::change_config(&mut config, &args.change)?;
    let commit = Commit {
        parent,
        config,
        author: args.author.clone(),
        comment: args.message.clone().unwrap_or_default(),
        created_by: definition.process.args.iter().map(Text::lossy).collect::<Vec<_>>().join(" "),
    };
    let options = image::locally(settings)?;
    let mut show = Show::on_stderr();
    let digest = files::with(&engine, &definition, false, settings, |files| {
        files.fetch(FileRequest::Layer { freeze: args.pause }, |layer| {
            let mut progress = |step| show.step(step);
            let made = store.commit(layer, commit, name.as_ref(), &options, &mut progress);
            made.map_err(vxn_files::Error::taker)
        })
    })?;
    show.end();
    println!("{}", store.summary(&digest)?.id);
    Ok(ExitCode::SUCCESS)
}

/// Puts into an image's configuration what the container was made with.
fn of_container(config: &mut Map<String, Value>, definition: &Definition) {
    let process = &definition.process;
    let text = |list: &[Text]| list.iter().map(Text::lossy).collect::<Vec<_>>();
    let args = text(&process.args);
    let list = |key| -> Vec<String> {
        config.get(key).and_then(|v| serde_json::from_value(v.clone()).ok()).unwrap_or_default()
    };
    let entrypoint = list("Entrypoint");
    match args.strip_prefix(entrypoint.as_slice()) {
        Some(rest) => drop(config.insert("Cmd".to_owned(), json!(rest))),
        None => {
            config.remove("Entrypoint");
            config.insert("Cmd".to_owned(), json!(args));
        }
    }
    let own = format!("HOSTNAME={}", definition.hostname);
    let env: Vec<String> = text(&process.env).into_iter().filter(|e| *e != own).collect();
    config.insert("Env".to_owned(), json!(env));
    config.insert("User".to_owned(), json!(process.user));
    config.insert("WorkingDir".to_owned(), json!(process.cwd.lossy()));
    config.insert("Labels".to_owned(), json!(definition.labels));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::definition::tests::definition;

    #[test]
    fn an_image_starts_as_its_container_did() {
        let mut container = definition("web");
        let texts = |list: &[&str]| list.iter().map(|t| Text(t.as_bytes().to_vec())).collect();
        container.process.args = texts(&["/entry", "-x", "go"]);
        let host = format!("HOSTNAME={}", container.hostname);
        container.process.env = texts(&["A=1", &host]);
        let of = |entrypoint: Value| {
            let mut config = Map::new();
            config.insert("Entrypoint".to_owned(), entrypoint);
            config.insert("Volumes".to_owned(), json!({"/data": {}}));
            of_container(&mut config, &container);
            config
        };
        let kept = of(json!(["/entry", "-x"]));
        assert_eq!((&kept["Cmd"], &kept["Entrypoint"]), (&json!(["go"]), &json!(["/entry", "-x"])));
        assert_eq!((&kept["Env"], &kept["Volumes"]), (&json!(["A=1"]), &json!({"/data": {}})));
        let other = of(json!(["/other"]));
        assert_eq!(other["Cmd"], json!(["/entry", "-x", "go"]));
        assert_eq!(other.get("Entrypoint"), None);
    }
}
