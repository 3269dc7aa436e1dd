//! `--change`: instructions of a Dockerfile that alter an image's configuration
//! and nothing else.

use serde_json::{Map, Value, json};

/// Applies one instruction, `CMD ["sh"]` or `ENV A=b`, to the `config` object of
/// an image configuration.
///
/// # Errors
/// What is wrong with the instruction, in a user's words.
pub fn apply(config: &mut Map<String, Value>, instruction: &str) -> Result<(), String> {
    let line = instruction.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    // docker takes `CMD=…` too.
    let (word, rest) = match word.split_once('=') {
        Some((word, more)) if rest.is_empty() => (word, more),
        _ => (word, rest.trim()),
    };
    if rest.is_empty() {
        return Err(format!("{instruction:?} says nothing"));
    }
    let text = || Value::from(rest);
    match word.to_ascii_uppercase().as_str() {
        "CMD" => drop(config.insert("Cmd".into(), command(rest)?)),
        "ENTRYPOINT" => drop(config.insert("Entrypoint".into(), command(rest)?)),
        "USER" => drop(config.insert("User".into(), text())),
        "WORKDIR" => drop(config.insert("WorkingDir".into(), text())),
        "STOPSIGNAL" => drop(config.insert("StopSignal".into(), text())),
        "ENV" => pairs(rest)?.into_iter().for_each(|(key, value)| variable(config, &key, &value)),
        "LABEL" => {
            for (key, value) in pairs(rest)? {
                object(config, "Labels").insert(key, value.into());
            }
        }
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                object(config, "ExposedPorts").insert(self::port(port)?, json!({}));
            }
        }
        "VOLUME" => {
            for path in list(rest).unwrap_or_else(|| words(rest)) {
                object(config, "Volumes").insert(path, json!({}));
            }
        }
        other => {
            return Err(format!(
                "{other} cannot be changed: only CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, \
                 USER, VOLUME and WORKDIR can"
            ));
        }
    }
    Ok(())
}

fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> &'a mut Map<String, Value> {
    let slot = config.entry(key).or_insert_with(|| json!({}));
    if !slot.is_object() {
        *slot = json!({});
    }
    match slot {
        Value::Object(object) => object,
        _ => unreachable!("it has just been made one"),
    }
}

/// The list form, or a line for the shell.
fn command(text: &str) -> Result<Value, String> {
    match list(text) {
        Some(list) => Ok(json!(list)),
        None if text.starts_with('[') => Err(format!("{text} is no JSON list of strings")),
        None => Ok(json!(["/bin/sh", "-c", text])),
    }
}

fn list(text: &str) -> Option<Vec<String>> {
    serde_json::from_str(text).ok()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// `A=b C="d e"`, or `A all the rest` as in old Dockerfiles.
fn pairs(text: &str) -> Result<Vec<(String, String)>, String> {
    let first = text.split_whitespace().next().unwrap_or_default();
    if !first.contains('=') {
        let (key, value) = text.split_once(char::is_whitespace).ok_or("it has no value")?;
        return Ok(vec![(key.to_owned(), value.trim().to_owned())]);
    }
    let pair = |word: String| match word.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("{word:?} is not KEY=VALUE")),
    };
    quoted(text)?.into_iter().map(pair).collect()
}

/// Words, where quotes and backslashes keep blanks, as in a Dockerfile.
fn quoted(text: &str) -> Result<Vec<String>, String> {
    let (mut all, mut word, mut inside, mut quote) = (Vec::new(), String::new(), false, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => word.extend(chars.next()),
            (c, Some(q)) if c == q => quote = None,
            ('"' | '\'', None) => quote = Some(c),
            (c, None) if c.is_whitespace() => {
                if inside {
                    all.push(std::mem::take(&mut word));
                }
                inside = false;
                continue;
            }
            (c, _) => word.push(c),
        }
        inside = true;
    }
    if quote.is_some() {
        return Err(format!("a quote is not closed in {text:?}"));
    }
    if inside {
        all.push(word);
    }
    Ok(all)
}

fn port(text: &str) -> Result<String, String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
    let good = matches!(protocol, "tcp" | "udp" | "sctp");
    match number.parse::<u16>() {
        Ok(1..) if good => Ok(format!("{number}/{protocol}")),
        _ => Err(format!("{text:?} is no port")),
    }
}

fn variable(config: &mut Map<String, Value>, key: &str, value: &str) {
    let slot = config.entry("Env").or_insert_with(|| json!([]));
    let mut all: Vec<String> = serde_json::from_value(slot.take()).unwrap_or_default();
    all.retain(|entry| entry.split('=').next() != Some(key));
    all.push(format!("{key}={value}"));
    *slot = json!(all);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(instructions: &[&str]) -> Value {
        let mut config = Map::new();
        instructions.iter().for_each(|i| apply(&mut config, i).unwrap());
        Value::Object(config)
    }

    #[test]
    fn instructions_mean_what_they_mean_to_docker() {
        assert_eq!(applied(&["CMD [\"a\", \"b c\"]"]), json!({"Cmd": ["a", "b c"]}));
        assert_eq!(applied(&["cmd a b"]), json!({"Cmd": ["/bin/sh", "-c", "a b"]}));
        assert_eq!(applied(&["CMD=[\"a\"]"]), json!({"Cmd": ["a"]}));
        assert_eq!(
            applied(&["ENV A=1 B=\"2 3\" C=4\\ 5", "ENV A=6", "ENV D all of it"]),
            json!({"Env": ["B=2 3", "C=4 5", "A=6", "D=all of it"]})
        );
        assert_eq!(applied(&["LABEL a='b \"c'"]), json!({"Labels": {"a": "b \"c"}}));
        assert_eq!(
            applied(&["EXPOSE 80 53/udp"]),
            json!({"ExposedPorts": {"80/tcp": {}, "53/udp": {}}})
        );
        assert_eq!(applied(&["VOLUME /a /b"]), json!({"Volumes": {"/a": {}, "/b": {}}}));
        assert_eq!(applied(&["VOLUME [\"/a b\"]"]), json!({"Volumes": {"/a b": {}}}));
        assert_eq!(
            applied(&["USER 7:8", "WORKDIR /w", "STOPSIGNAL SIGINT"]),
            json!({"User": "7:8", "WorkingDir": "/w", "StopSignal": "SIGINT"})
        );
    }

    #[test]
    fn what_cannot_be_changed_is_refused() {
        for bad in
            ["RUN ls", "CMD", "CMD [a]", "ENV A", "ENV =b c=d", "EXPOSE 0", "LABEL a=\"b", ""]
        {
            assert!(apply(&mut Map::new(), bad).is_err(), "{bad}");
        }
    }
}
