//! `--format`: text with fields in braces, taken from JSON.

use std::fmt::Write as _;

use anyhow::bail;
use serde_json::Value;

/// Fills in the fields of `template`: `{Names}`, `{State.ExitCode}`. Case does
/// not matter; `\t` and `\n` are what they are in C; `{{` and `}}` are braces.
pub fn render(template: &str, value: &Value) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}', '\\']) {
        out.push_str(&rest[..at]);
        let special = &rest[at..];
        let (text, length) = match special.as_bytes() {
            [b'{', b'{', ..] => ("{".to_owned(), 2),
            [b'}', b'}', ..] => ("}".to_owned(), 2),
            [b'\\', b't', ..] => ("\t".to_owned(), 2),
            [b'\\', b'n', ..] => ("\n".to_owned(), 2),
            [b'{', ..] => {
                let Some(end) = special.find('}') else {
                    bail!("--format {template:?}: a brace is not closed");
                };
                (show(field(value, &special[1..end])?), end + 1)
            }
            [b'}', ..] => bail!("--format {template:?}: }} for a brace is written }}}}"),
            _ => ("\\".to_owned(), 1),
        };
        out.push_str(&text);
        rest = &special[length..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The part of `value` that the dotted `path` leads to.
fn field<'a>(value: &'a Value, path: &str) -> anyhow::Result<&'a Value> {
    let mut found = value;
    for word in path.split('.') {
        let next = match found {
            Value::Object(map) => {
                map.iter().find(|(key, _)| key.eq_ignore_ascii_case(word)).map(|(_, v)| v)
            }
            Value::Array(list) => word.parse::<usize>().ok().and_then(|n| list.get(n)),
            _ => None,
        };
        let Some(next) = next else {
            bail!(
                "--format: there is no field {{{path}}}: {word:?} is not among {}",
                fields(found)
            );
        };
        found = next;
    }
    Ok(found)
}

fn fields(value: &Value) -> String {
    match value {
        Value::Object(map) => map.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
        Value::Array(list) => format!("0 to {}", list.len().saturating_sub(1)),
        _ => "fields at all".to_owned(),
    }
}

fn show(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => {
            let mut text = String::new();
            // Writing to a String does not fail.
            let _ = write!(text, "{other}");
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn fields_are_filled_in() {
        let value = json!({"Names": "web", "State": {"ExitCode": 7, "Error": null}, "L": ["a"]});
        let render = |template| render(template, &value);
        assert_eq!(render("{names}\\t{State.ExitCode}").unwrap(), "web\t7");
        assert_eq!(render("{{{names}}} {l.0}{state.error}.").unwrap(), "{web} a.");
        assert_eq!(render("{state}").unwrap(), r#"{"Error":null,"ExitCode":7}"#);
        let error = render("{Nmae}").unwrap_err().to_string();
        assert!(error.contains("Names"), "{error}");
        for bad in ["{", "}", "{names", "{state.exitcode.x}", "{l.1}"] {
            assert!(render(bad).is_err(), "{bad}");
        }
    }
}
