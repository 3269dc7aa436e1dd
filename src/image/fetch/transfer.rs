//! Copying whole images.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};

use oci_spec::image::{ImageManifest, MediaType};

use super::offer::inspect;
use super::{Offer, choose_platform, place, words};
use crate::image::layout::Layout;
use crate::image::reference::{ArchiveFormat, Reference, Source};
use crate::image::store::stage::Stage;
use crate::image::{Digest, Error, Progress, PullOptions, PushOptions, Result};
use crate::tool::{Error as ToolError, SKOPEO};

/// Copies the image that `reference` means into the stage and returns its
/// manifest's digest. skopeo puts a blob there by renaming it, whole and
/// checked, and skips those that are there.
pub fn copy(
    reference: &Reference,
    stage: &Stage<'_>,
    offer: Option<&Offer>,
    options: &PullOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Digest> {
    let mut command = SKOPEO.command()?;
    choose_platform(&mut command, options);
    // Layers stay as they are: recompressing what is about to be unpacked is waste.
    command.args(["copy", "--dest-oci-accept-uncompressed-layers"]);
    if !options.tls_verify && matches!(reference.source, Source::Registry { .. }) {
        command.arg("--src-tls-verify=false");
    }
    let layers = offer.map(Offer::blobs).unwrap_or_default();
    let to = format!("oci:{}:image", stage.dir().join("layout").display());
    command.args([place(reference), to]);
    run(command, reference, stage.dir(), options.authfile.as_deref(), &layers, progress)?;
    let copied = only(stage.layout())?;
    let same = offer
        .is_some_and(|o| o.config() == stage.layout().image(&copied).ok().map(|d| d.config_digest));
    let oci = matches!(reference.source, Source::Archive { format: ArchiveFormat::Oci, .. });
    if same || oci {
        return Ok(copied);
    }
    let reference = offer.map_or(reference.clone(), |offer| offer.pinned(reference));
    with_original_config(stage, copied, &reference, options)
}

/// skopeo rewrites the configuration of docker's images, and with it their ids.
/// This puts the original in its place.
fn with_original_config(
    stage: &Stage<'_>,
    copied: Digest,
    reference: &Reference,
    options: &PullOptions,
) -> Result<Digest> {
    let layout = stage.layout();
    let original = inspect(reference, &["--config"], options)?;
    let mut manifest: ImageManifest = layout.document(&copied)?;
    let digest = Digest::of(&original);
    if layout.address(manifest.config())? == digest {
        return Ok(copied);
    }
    let rewritten = layout.image(&copied)?.config_digest;
    manifest.set_config(layout.put(MediaType::ImageConfig, &original)?);
    let bytes = serde_json::to_vec(&manifest)
        .map_err(|e| Error::Document { digest: copied, why: e.to_string() })?;
    layout.put(MediaType::ImageManifest, &bytes)?;
    // What is left here would go into the store.
    for blob in [copied, rewritten] {
        let path = layout.blob(&blob);
        std::fs::remove_file(&path).map_err(Error::io(&path))?;
    }
    Ok(Digest::of(&bytes))
}

/// The image in a layout in which skopeo has put one.
fn only(layout: &Layout) -> Result<Digest> {
    let index = layout.index()?;
    let last = index.manifests().last().map(|d| layout.address(d));
    last.unwrap_or_else(|| Err(layout.wrong("skopeo left no manifest here")))
}

/// Copies the stage's image to `to` and returns the digest that it has there.
pub fn push(
    stage: &Stage<'_>,
    to: &Reference,
    options: &PushOptions,
    progress: &mut dyn FnMut(Progress),
) -> Result<Digest> {
    let mut command = SKOPEO.command()?;
    command.arg("copy");
    if !options.tls_verify && matches!(to.source, Source::Registry { .. }) {
        command.arg("--dest-tls-verify=false");
    }
    if let Some(format) = options.format {
        command.args(["--format", format.word()]);
    }
    let digest = stage.dir().join("digest");
    command.arg("--digestfile").arg(&digest);
    let from = format!("oci:{}:image", stage.dir().join("layout").display());
    command.args([from, place(to)]);
    let layers = stage.layout().blobs()?;
    run(command, to, stage.dir(), options.authfile.as_deref(), &layers, progress)
        .map_err(|e| e.while_pushing())?;
    let text = std::fs::read_to_string(&digest).map_err(Error::io(&digest))?;
    text.trim()
        .parse()
        .map_err(|e| Error::Fetch { reference: to.to_string(), words: format!("{e}") })
}

/// Runs skopeo to its end. It draws its bars on a terminal only: it gets one.
fn run(
    mut command: Command,
    reference: &Reference,
    tmp: &Path,
    authfile: Option<&Path>,
    layers: &[Digest],
    progress: &mut dyn FnMut(Progress),
) -> Result<()> {
    // Its big temporary files belong where a killed pull is cleaned up.
    command.env("TMPDIR", tmp);
    if let Some(file) = authfile {
        command.arg("--authfile").arg(file);
    }
    let (ours, theirs) = terminal()?;
    let running = SKOPEO.start(command.stdout(Stdio::from(theirs)))?;
    // The command holds a copy of the other end: without it, ours never ends.
    drop(command);
    words::report(File::from(ours), layers, progress);
    running.wait().map(drop).map_err(|e| words::failure(reference, e))
}

/// Both ends of a terminal that is wide enough for whole lines.
fn terminal() -> Result<(OwnedFd, OwnedFd)> {
    let size = Winsize { ws_row: 100, ws_col: 200, ws_xpixel: 0, ws_ypixel: 0 };
    let failed = |e: Errno| ToolError::Io { tool: SKOPEO.name, source: e.into() };
    let pty = openpty(Some(&size), None).map_err(failed)?;
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(failed)?;
    }
    Ok((pty.master, pty.slave))
}
