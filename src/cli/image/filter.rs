//! `--filter`: which images are meant.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use jiff::{Span, Timestamp};
use oci_spec::image::ImageConfiguration;

use super::lookup;
use crate::config::Settings;
use crate::image::Reference;
use crate::image::store::{Store, Summary};

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// Without a name, or with one.
    Dangling(bool),
    /// With this label, and this value if there is one.
    Label(String, Option<String>),
    /// With a name like this, where `*` and `?` stand for anything.
    Reference(String),
    /// Older than this image.
    Before(String),
    /// Newer than this image.
    Since(String),
    /// Made before this moment, or so long ago.
    Until(Timestamp),
}

impl FromStr for Filter {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Filter> {
        let (key, value) = text.split_once('=').context("a filter is written KEY=VALUE")?;
        Ok(match key {
            "dangling" => Filter::Dangling(value.parse().context("dangling is true or false")?),
            "label" => match value.split_once('=') {
                Some((label, value)) => Filter::Label(label.to_owned(), Some(value.to_owned())),
                None => Filter::Label(value.to_owned(), None),
            },
            "reference" => Filter::Reference(value.to_owned()),
            "before" => Filter::Before(value.to_owned()),
            "since" => Filter::Since(value.to_owned()),
            "until" => Filter::Until(moment(value)?),
            _ => bail!(
                "no filter {key:?}: there are dangling, label, reference, before, since, until"
            ),
        })
    }
}

/// `24h` ago, or a time.
fn moment(text: &str) -> Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let span: Span =
        text.parse().with_context(|| format!("{text:?} is neither a time nor 24h or 10m"))?;
    Ok(Timestamp::now().checked_sub(span)?)
}

/// When an image was made; 1970 when it does not say.
pub fn created(config: &ImageConfiguration) -> Timestamp {
    let text = config.created().as_deref().unwrap_or_default();
    text.parse().unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Whether what `label` says holds for a configuration.
pub fn has_label(config: &ImageConfiguration, label: &str, value: Option<&str>) -> bool {
    let labels = config.config().as_ref().and_then(|c| c.labels().as_ref());
    let found = labels.and_then(|labels| labels.get(label));
    found.is_some_and(|found| value.is_none_or(|value| value == found))
}

/// Keeps the images that meet all conditions.
pub fn keep(
    images: &mut Vec<Summary>,
    filters: &[Filter],
    store: &Store,
    settings: &Settings,
) -> Result<()> {
    let of = |text: &str| -> Result<Timestamp> {
        Ok(created(&store.summary(&lookup(store, text, settings)?.digest)?.config))
    };
    for filter in filters {
        match filter {
            Filter::Dangling(wanted) => images.retain(|i| i.names.is_empty() == *wanted),
            Filter::Label(label, value) => {
                images.retain(|i| has_label(&i.config, label, value.as_deref()));
            }
            Filter::Reference(pattern) => {
                for image in &mut *images {
                    image.names.retain(|name| named_like(name, pattern));
                }
                images.retain(|i| !i.names.is_empty());
            }
            Filter::Before(other) => {
                let limit = of(other)?;
                images.retain(|i| created(&i.config) < limit);
            }
            Filter::Since(other) => {
                let limit = of(other)?;
                images.retain(|i| created(&i.config) > limit);
            }
            Filter::Until(limit) => images.retain(|i| created(&i.config) < *limit),
        }
    }
    Ok(())
}

/// Whether a name, the same without its tag, or either's last parts, are like
/// the pattern.
pub fn named_like(name: &str, pattern: &str) -> bool {
    let reference = Reference::parse(name).ok();
    let repository = reference.as_ref().and_then(|r| r.in_registry()).map(|(name, _)| name);
    [Some(name), repository].into_iter().flatten().any(|full| {
        let ends = full.match_indices('/').map(|(at, _)| &full[at + 1..]);
        std::iter::once(full).chain(ends).any(|text| like(text.as_bytes(), pattern.as_bytes()))
    })
}

/// `*` is any run but `/`, `?` one character but `/`.
fn like(text: &[u8], pattern: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => {
            let run = text.iter().take_while(|&&b| b != b'/').count();
            (0..=run).any(|n| like(&text[n..], rest))
        }
        Some((b'?', rest)) => text.split_first().is_some_and(|(&b, t)| b != b'/' && like(t, rest)),
        Some((first, rest)) => text.split_first().is_some_and(|(b, t)| b == first && like(t, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_like_names() {
        for (pattern, is) in [
            ("busybox", true),
            ("busybox:*", true),
            ("docker.io/library/busybox", true),
            ("library/busy*", true),
            ("busy?ox:1", true),
            ("busybox:2", false),
            ("box", false),
            ("docker.io/*", false),
        ] {
            assert_eq!(named_like("docker.io/library/busybox:1", pattern), is, "{pattern}");
        }
        assert!(named_like("oci:/srv/images/debian", "debian"));
    }

    #[test]
    fn filters_are_read() {
        assert_eq!("dangling=true".parse::<Filter>().unwrap(), Filter::Dangling(true));
        let label = Filter::Label("a".into(), Some("b=c".into()));
        assert_eq!("label=a=b=c".parse::<Filter>().unwrap(), label);
        let Filter::Until(hour) = "until=1h".parse().unwrap() else { panic!() };
        let ago = Timestamp::now().as_second() - hour.as_second();
        assert!((3600..3610).contains(&ago), "{ago}");
        for bad in ["x", "color=red", "dangling=maybe", "until=soon"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
