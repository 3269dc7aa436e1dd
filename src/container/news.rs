//! What is told of a container when something happens to it; `vxn events` shows it.

use std::path::Path;

use super::definition::Definition;
use crate::events::{self, Event, Kind};

/// Most characters of a command that are told.
const MAX_COMMAND: usize = 200;

/// Tells below `root` that `action` has happened to a container, with docker's
/// attributes: its labels, its image and its name, and what is `more`.
pub fn tell(root: &Path, definition: &Definition, action: &str, more: &[(&str, String)]) {
    let mut event = Event::new(Kind::Container, action, definition.id.as_str());
    event.attributes.extend(definition.labels.clone());
    for (key, value) in more {
        event = event.with(key, value);
    }
    let event = event.with("image", &definition.image.reference);
    events::tell(root, &event.with("name", definition.name.as_str()));
}

/// Tells below `root` that a container has got on or off a network: `action` is docker's
/// `connect` or `disconnect`.
pub fn tell_network(root: &Path, definition: &Definition, action: &str, network: &str) {
    let event = Event::new(Kind::Network, action, network).with("name", network);
    let event = event.with("container", definition.id.as_str());
    events::tell(root, &event.with("type", "bridge"));
}

/// A command in one line, as much of it as is told.
pub fn command(args: &[Vec<u8>]) -> String {
    let words: Vec<_> = args.iter().map(|arg| String::from_utf8_lossy(arg)).collect();
    let line = words.join(" ").replace(|c: char| c.is_control(), "\u{fffd}");
    line.chars().take(MAX_COMMAND).collect()
}
