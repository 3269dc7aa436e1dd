//! The markers of the seed's protocol, each a line of the guest's console.

/// Asks whether the guest is there.
pub const PING: &[u8] = b"===PING===";
/// The guest is there; also said once, unasked, when it is ready.
pub const PONG: &[u8] = b"===PONG===";
/// Asks how the container's process is.
pub const STATUS: &[u8] = b"===STATUS===";
/// It runs.
pub const RUNNING: &[u8] = b"===RUNNING===";
/// Tells the guest to power off.
pub const SHUTDOWN: &[u8] = b"===SHUTDOWN===";
/// Before the command, in base64, of a container on the input disk.
pub const RUN_CONTAINER: &[u8] = b"===RUN_CONTAINER===";
/// The output of a command begins.
pub const OUTPUT_START: &[u8] = b"===OUTPUT_START===";
/// It has ended: glued to its last line when that has no newline.
pub const OUTPUT_END: &[u8] = b"===OUTPUT_END===";
/// The guest could not do it; lines of explanation follow.
pub const ERROR: &[u8] = b"===ERROR===";
/// The reply is complete.
pub const END: &[u8] = b"===END===";

const EXIT_CODE: &[u8] = b"===EXIT_CODE=";
const EXITED: &[u8] = b"===EXITED=";

/// The number in `===EXIT_CODE=n===`.
pub fn exit_code(line: &[u8]) -> Option<u8> {
    number(line, EXIT_CODE)
}

/// The number in `===EXITED=n===`.
pub fn exited(line: &[u8]) -> Option<u8> {
    number(line, EXITED)
}

fn number(line: &[u8], before: &[u8]) -> Option<u8> {
    let digits = line.strip_prefix(before)?.strip_suffix(b"===")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// The length of the kernel's time stamp, `[   12.345678] `, that the bytes start
/// with, or of as much of one as there is.
fn stamp(bytes: &[u8]) -> Option<usize> {
    let rest = bytes.strip_prefix(b"[")?;
    let inside = |b: &&u8| b.is_ascii_digit() || matches!(b, b' ' | b'.');
    let length = rest.iter().take_while(inside).count();
    match rest.get(length) {
        None => Some(bytes.len()),
        Some(b']') if rest[..length].contains(&b'.') => Some(length + 2),
        Some(_) => None,
    }
}

/// Whether the kernel wrote this line.
pub fn is_kernels(line: &[u8]) -> bool {
    stamp(line).is_some_and(|length| line[..length].ends_with(b"]"))
}

/// Shorter beginnings of a marker are too common in texts.
const SHORTEST_TORN: usize = 4;

/// Where a line that the kernel broke into goes on after the kernel's words: the
/// end of the marker's first part in `line`. The marker's second part starts the
/// next line.
pub fn torn(line: &[u8], marker: &[u8]) -> Option<usize> {
    let open = line.iter().rposition(|&b| b == b'[')?;
    stamp(&line[open..])?;
    let part = beginning(&line[..open], marker);
    (SHORTEST_TORN..marker.len()).contains(&part).then_some(open)
}

/// The same for any marker that starts its line.
pub fn torn_alone(line: &[u8]) -> Option<usize> {
    let open = line.iter().rposition(|&b| b == b'[')?;
    stamp(&line[open..])?;
    let part = SHORTEST_TORN..OUTPUT_START.len() + 1;
    (line.starts_with(b"===") && part.contains(&open)).then_some(open)
}

/// How many bytes at the end of `bytes` may be the beginning of `marker`.
pub fn beginning(bytes: &[u8], marker: &[u8]) -> usize {
    let longest = marker.len().min(bytes.len());
    (1..=longest).rev().find(|&n| bytes.ends_with(&marker[..n])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_strict() {
        assert_eq!(exit_code(b"===EXIT_CODE=0==="), Some(0));
        assert_eq!(exit_code(b"===EXIT_CODE=255==="), Some(255));
        assert_eq!(exited(b"===EXITED=7==="), Some(7));
        for line in
            ["===EXIT_CODE====", "===EXIT_CODE=256===", "===EXIT_CODE=+1===", "===EXIT_CODE=1=="]
        {
            assert_eq!(exit_code(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn the_kernels_lines_are_known_by_their_stamp() {
        assert!(is_kernels(b"[    1.234567] xen: up"));
        assert!(!is_kernels(b"[1] 42 done"));
        assert!(!is_kernels(b"[    1.23"));
        assert_eq!(torn(b"text===OUTPUT[   1.2] oops", OUTPUT_END), Some(13));
        assert_eq!(torn(b"===[   1.2] oops", OUTPUT_END), None);
        assert_eq!(torn(b"===OUTPUT_END===[   1.2] x", OUTPUT_END), None);
        assert_eq!(torn(b"===OUTPUT[   1.", OUTPUT_END), Some(9));
    }

    #[test]
    fn a_beginning_is_the_longest() {
        assert_eq!(beginning(b"x======", OUTPUT_END), 3);
        assert_eq!(beginning(b"===OUTPUT_END===", OUTPUT_END), 16);
        assert_eq!(beginning(b"abc", OUTPUT_END), 0);
    }
}
