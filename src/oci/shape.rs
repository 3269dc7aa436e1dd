//! What the types of a configuration take and the specification does not. Derived readers
//! take an array for an object, and a limit that is left out for none at all.

use serde_json::Value;

/// Where a configuration has objects that need hold nothing (config.md, config-linux.md).
const OBJECTS: [&str; 14] = [
    "",
    "/root",
    "/process",
    "/process/user",
    "/process/capabilities",
    "/process/consoleSize",
    "/hooks",
    "/linux",
    "/linux/resources",
    "/linux/resources/memory",
    "/linux/resources/cpu",
    "/linux/resources/pids",
    "/linux/resources/blockIO",
    "/linux/resources/network",
];

/// Where it has the limits of the process, all of which have these.
const RLIMITS: &str = "/process/rlimits";
const OF_RLIMIT: [&str; 2] = ["soft", "hard"];

/// Looks at `json`, the part `at` of a configuration.
///
/// # Errors
/// What is wrong, and where.
pub fn check(json: &Value, at: &str) -> Result<(), String> {
    let part = |place: &str| place.strip_prefix(at).and_then(|place| json.pointer(place));
    if let Some(place) = OBJECTS.iter().find(|place| part(place).is_some_and(Value::is_array)) {
        return Err(wrong(place.strip_prefix(at).unwrap_or_default(), "an array is no object"));
    }
    let limits = part(RLIMITS).and_then(Value::as_array);
    for (n, limit) in limits.into_iter().flatten().enumerate() {
        if let Some(field) = OF_RLIMIT.iter().find(|field| limit.get(field).is_none()) {
            let place = format!("{}[{n}]", RLIMITS.strip_prefix(at).unwrap_or_default());
            return Err(wrong(&place, &format!("missing field `{field}`")));
        }
    }
    Ok(())
}

/// A place in the words of the other errors, and what is wrong there.
fn wrong(place: &str, what: &str) -> String {
    match place.trim_start_matches('/').replace('/', ".").as_str() {
        "" => what.to_owned(),
        place => format!("{place}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn arrays_and_limits_are_told_in_a_configuration_and_in_a_process() {
        let process = json!({"rlimits": [{"type": "RLIMIT_CPU", "soft": 1}], "user": {}});
        assert_eq!(check(&process, "/process").unwrap_err(), "rlimits[0]: missing field `hard`");
        let whole = check(&json!({ "process": process }), "").unwrap_err();
        assert_eq!(whole, "process.rlimits[0]: missing field `hard`");
        assert_eq!(check(&json!([]), "").unwrap_err(), "an array is no object");
        assert_eq!(check(&json!([]), "/process").unwrap_err(), "an array is no object");
        let user = json!({"user": []});
        assert_eq!(check(&user, "/process").unwrap_err(), "user: an array is no object");
        assert_eq!(check(&json!({"linux": {"resources": {}}}), ""), Ok(()));
    }
}
