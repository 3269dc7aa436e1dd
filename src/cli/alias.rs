//! Other words for what there is a verb for: docker's `container VERB`, and those of
//! vcontainer's shell tools.

use std::ffi::OsString;

/// The command line in docker's short words, and a hint if it was in the tools' own.
pub fn rewrite(args: Vec<OsString>) -> (Vec<OsString>, Option<String>) {
    let verb = args.iter().skip(1).position(|arg| !arg.as_encoded_bytes().starts_with(b"-"));
    let Some(at) = verb.map(|at| at + 1) else { return (args, None) };
    let word = |at: usize| args.get(at).and_then(|word| word.to_str());
    let (taken, new): (usize, &[&str]) = match (word(at), word(at + 1)) {
        (Some("container"), Some("ls" | "list")) => (2, &["ps"]),
        (Some("container"), Some(_)) => (1, &[]),
        (Some("vrun"), _) => (1, &["run"]),
        (Some("vshell"), _) => (1, &["run", "--rm", "-it", "--entrypoint", "sh"]),
        (Some("vimport"), _) => (1, &["load", "--input"]),
        (Some("vstorage"), None | Some("list")) => (2, &["images"]),
        (Some("vstorage"), Some("df")) => (2, &["system", "df"]),
        (Some("vstorage"), Some("clean")) => (2, &["image", "prune"]),
        _ => return (args, None),
    };
    let end = (at + taken).min(args.len());
    let show = |words: &[OsString]| {
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    };
    let hint = (word(at) != Some("container"))
        .then(|| format!("`vxn {}` is now `vxn {}`", show(&args[at..end]), new.join(" ")));
    let mut args = args;
    args.splice(at..end, new.iter().map(OsString::from));
    (args, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> (String, Option<String>) {
        let (args, hint) = rewrite(line.split(' ').map(OsString::from).collect());
        let words: Vec<_> = args.iter().map(|word| word.to_str().unwrap()).collect();
        (words.join(" "), hint)
    }

    #[test]
    fn old_words_are_put_in_dockers() {
        for (old, new) in [
            ("vxn -v vrun --rm alpine vrun", "vxn -v run --rm alpine vrun"),
            ("vxn vshell alpine", "vxn run --rm -it --entrypoint sh alpine"),
            ("vxn vimport a.tar", "vxn load --input a.tar"),
            ("vxn vstorage", "vxn images"),
            ("vxn vstorage list -q", "vxn images -q"),
            ("vxn vstorage df", "vxn system df"),
            ("vxn vstorage clean --all", "vxn image prune --all"),
        ] {
            let (line, hint) = rewritten(old);
            assert_eq!(line, new);
            assert!(hint.is_some());
        }
        assert_eq!(
            rewritten("vxn vstorage df").1.unwrap(),
            "`vxn vstorage df` is now `vxn system df`"
        );
    }

    #[test]
    fn dockers_long_words_are_its_short_ones() {
        for (long, short) in [
            ("vxn container ls -a", "vxn ps -a"),
            ("vxn -v container run alpine container ls", "vxn -v run alpine container ls"),
            ("vxn container rm -f web", "vxn rm -f web"),
        ] {
            assert_eq!(rewritten(long), (short.to_owned(), None));
        }
    }

    #[test]
    fn other_words_stay() {
        for line in ["vxn", "vxn run alpine vrun", "vxn vstorage path", "vxn --version"] {
            assert_eq!(rewritten(line), (line.to_owned(), None));
        }
    }
}
