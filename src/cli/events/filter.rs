//! `vxn events -f KEY=VALUE`: of one key any value will do, of several keys all must.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use crate::events::{Event, Kind};

const KEYS: [&str; 7] = ["container", "event", "image", "label", "network", "type", "volume"];

/// What is wanted.
#[derive(Debug, Default)]
pub struct Filters(BTreeMap<&'static str, Vec<String>>);

impl Filters {
    /// Reads them.
    ///
    /// # Errors
    /// A filter that there is not: none is passed over.
    pub fn parse(texts: &[String]) -> Result<Filters> {
        let mut filters = Filters::default();
        for text in texts {
            let Some((key, value)) = text.split_once('=') else {
                bail!("{text:?} is not KEY=VALUE")
            };
            let Some(key) = KEYS.into_iter().find(|known| *known == key) else {
                bail!("there is no filter {key:?}: {}", KEYS.join(", "));
            };
            if key == "type" && !Kind::ALL.iter().any(|kind| kind.word() == value) {
                let words = Kind::ALL.map(Kind::word).join(", ");
                bail!("there are no events of type {value:?}: {words}");
            }
            filters.0.entry(key).or_default().push(value.to_owned());
        }
        Ok(filters)
    }

    /// Whether an event is wanted.
    pub fn hold(&self, event: &Event) -> bool {
        self.0.iter().all(|(key, values)| values.iter().any(|value| holds(key, value, event)))
    }
}

fn holds(key: &str, value: &str, event: &Event) -> bool {
    let attribute = |key: &str| event.attributes.get(key).map(String::as_str);
    let is = |kind| event.kind == kind;
    match key {
        "type" => event.kind.word() == value,
        // `exec_start: sh` is an exec_start.
        "event" => event.action.split(':').next() == Some(value),
        "container" => {
            is(Kind::Container) && (event.id.starts_with(value) || attribute("name") == Some(value))
        }
        "image" if is(Kind::Image) => event.id == value || attribute("name") == Some(value),
        "image" => attribute("image") == Some(value),
        "volume" => is(Kind::Volume) && event.id == value,
        "network" => is(Kind::Network) && event.id == value,
        "label" => match value.split_once('=') {
            Some((key, value)) => attribute(key) == Some(value),
            None => attribute(value).is_some(),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(filters: &[&str], event: &Event) -> bool {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        Filters::parse(&filters).unwrap().hold(event)
    }

    #[test]
    fn one_value_of_each_key_must_do() {
        let event = Event::new(Kind::Container, "exec_start: sh", "abcdef")
            .with("name", "web")
            .with("image", "docker.io/library/alpine:latest")
            .with("tier", "front");
        for wanted in [
            &[][..],
            &["container=web"],
            &["container=abc", "event=exec_start"],
            &["event=die", "event=exec_start"],
            &["label=tier"],
            &["label=tier=front", "type=container"],
            &["image=docker.io/library/alpine:latest"],
        ] {
            assert!(holds(wanted, &event), "{wanted:?}");
        }
        for other in [
            &["container=other"][..],
            &["event=exec"],
            &["container=web", "event=die"],
            &["type=image"],
            &["volume=abcdef"],
            &["label=tier=back"],
        ] {
            assert!(!holds(other, &event), "{other:?}");
        }
    }

    #[test]
    fn filters_that_mean_nothing_are_refused() {
        for bad in ["", "x", "daemon=a", "type=plugin"] {
            assert!(Filters::parse(&[bad.to_owned()]).is_err(), "{bad}");
        }
    }
}
