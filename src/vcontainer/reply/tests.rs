use proptest::prelude::*;

use super::*;

/// The console of a guest that prints `text` as it is: through a terminal that
/// makes CR LF of a newline.
fn printed(text: &[u8]) -> Vec<u8> {
    let mut console = Vec::new();
    for &byte in text {
        if byte == b'\n' {
            console.push(b'\r');
        }
        console.push(byte);
    }
    console
}

/// The reply to a command, and to the PING after it.
fn reply(output: &[u8], code: u8) -> Vec<u8> {
    let end = format!("===OUTPUT_END===\n===EXIT_CODE={code}===\n===END===\n===PONG===\n");
    printed(&[b"===OUTPUT_START===\n", output, end.as_bytes()].concat())
}

/// Feeds the console in pieces of these sizes, in turn.
fn read(console: &[u8], sizes: &[usize]) -> (Vec<u8>, Vec<Event>) {
    let (mut reply, mut events, mut rest) = (Reply::default(), Vec::new(), console);
    for size in sizes.iter().cycle() {
        let (piece, more) = rest.split_at((*size).min(rest.len()));
        reply.feed(piece, &mut events);
        rest = more;
        if rest.is_empty() {
            break;
        }
    }
    let mut output = Vec::new();
    events.retain(|event| match event {
        Event::Output(bytes) => {
            output.extend(bytes);
            false
        }
        Event::Candidate => false,
        _ => true,
    });
    (output, events)
}

/// Lines of output: text, markers, ends that look real, halves of them.
fn output() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..30),
        2 => prop::sample::select(vec![
            "===OUTPUT_END===", "===END===", "===ERROR===", "===EXIT_CODE=0===", "===OUTPUT_START===",
            "===OUTPUT_END===\n===EXIT_CODE=0===\n===END===", "===OUTPUT_END===\n===EXIT_CODE=1===",
            "===", "\r", "\r\n", "[    1.5] ", "===PING===",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        3 => Just(b"\n".to_vec()),
    ];
    prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

/// What the kernel and the guest's own log print.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let kernel = "[a-z =]{0,40}".prop_map(|text| format!("[   12.345678] {text}\n").into_bytes());
    prop::collection::vec(kernel, 0..4).prop_map(|lines| printed(&lines.concat()))
}

/// After what looks like an end, a PONG in the output cannot be told from the real
/// one, nor a PING from the terminal's echo.
fn is_imitation(output: &[u8]) -> bool {
    let has = |marker: &[u8]| output.windows(marker.len()).any(|part| part == marker);
    has(marker::PONG) || has(marker::PING) && has(marker::END)
}

/// A marker that a kernel's stamp follows looks as if the kernel had torn it.
fn looks_torn(output: &[u8]) -> bool {
    output.split(|&b| b == b'\n').any(|line| {
        marker::torn_alone(line).is_some()
            || (0..=line.len()).any(|end| marker::torn(&line[..end], marker::OUTPUT_END).is_some())
    })
}

proptest! {
    #[test]
    fn every_output_comes_out_as_it_went_in(
        output in output(), code: u8, sizes in prop::collection::vec(1usize..40, 1..8),
    ) {
        prop_assume!(!is_imitation(&output) && !looks_torn(&output));
        let (read, events) = read(&reply(&output, code), &sizes);
        prop_assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(&output));
        prop_assert_eq!(events, vec![Event::Finished(code)]);
    }

    #[test]
    fn noise_between_markers_does_no_harm(
        before in noise(), middle in noise(), late in noise(), last in noise(), code: u8, size in 1usize..40,
    ) {
        let console = [
            &b"===PING===\r\nboot"[..], b"ing\r\n", &before, b"===OUTPUT_START===\r\nhello\r\n===OUTPUT_END===\r\n",
            &middle, format!("===EXIT_CODE={code}===\r\n").as_bytes(), &late, b"===END===\r\n",
            b"Command completed\r\n", &last, b"===PONG===\r\n",
        ].concat();
        prop_assert_eq!(read(&console, &[size]), (b"hello\n".to_vec(), vec![Event::Finished(code)]));
    }

    #[test]
    fn a_marker_that_the_kernel_breaks_into_is_put_together(
        cut in 4usize..16, noise in "[a-z]{0,20}", size in 1usize..40,
    ) {
        let torn = |marker: &str| {
            let cut = cut.min(marker.len() - 1);
            format!("{}[   12.345678] {noise}\r\n{}\r\n", &marker[..cut], &marker[cut..])
        };
        let console = format!(
            "{}no newline{}{}{}{}",
            torn("===OUTPUT_START==="), torn("===OUTPUT_END==="), torn("===EXIT_CODE=42==="),
            torn("===END==="), torn("===PONG==="),
        );
        let expected = (b"no newline".to_vec(), vec![Event::Finished(42)]);
        prop_assert_eq!(read(console.as_bytes(), &[size]), expected);
    }

    #[test]
    fn garbage_is_never_a_success(bytes in prop::collection::vec(any::<u8>(), 0..2000), size in 1usize..100) {
        let (_, events) = read(&bytes, &[size]);
        prop_assert_eq!(events, vec![]);
    }
}

#[test]
fn output_comes_while_the_command_runs() {
    let (mut reply, mut events) = (Reply::default(), Vec::new());
    reply.feed(b"===OUTPUT_START===\r\nhalf a li", &mut events);
    assert_eq!(events, [Event::Output(b"half a li".to_vec())]);
    reply.feed(b"ne==", &mut events);
    assert_eq!(events[1..], [Event::Output(b"ne".to_vec())]);
}

#[test]
fn an_end_asks_for_one_pong_and_waits_for_it() {
    let (mut reply, mut events) = (Reply::default(), Vec::new());
    let end = "===OUTPUT_END===\r\n===EXIT_CODE=3===\r\n===END===\r\n";
    reply.feed(format!("===OUTPUT_START===\r\n{end}").as_bytes(), &mut events);
    assert_eq!(events, [Event::Candidate]);
    reply.feed(end.as_bytes(), &mut events);
    assert_eq!(events[1..], [Event::Output(end.replace("\r", "").into_bytes())]);
    reply.feed(b"===PONG===\r\n", &mut events);
    assert_eq!(events[2..], [Event::Finished(3)]);
    assert!(reply.is_over());
}

#[test]
fn the_echo_of_the_ping_is_no_output() {
    let end = "===OUTPUT_END===\r\n===EXIT_CODE=0===\r\n===END===\r\n";
    for (before, after) in [("", "more\r\n"), ("mo", "re\r\n"), ("more\r\n", "")] {
        let console =
            format!("===OUTPUT_START===\r\n{end}{before}===PING===\r\n{after}{end}===PONG===\r\n");
        let expected = format!("{end}more\n").replace('\r', "").into_bytes();
        assert_eq!(read(console.as_bytes(), &[7]), (expected, vec![Event::Finished(0)]));
    }
}

#[test]
fn an_error_is_no_success() {
    let console = b"===ERROR===\r\nInput device not found\r\n===END===\r\n";
    let (output, events) = read(console, &[5]);
    assert!(output.is_empty());
    assert_eq!(events, [Event::Refused("Input device not found".to_owned())]);
}

#[test]
fn an_end_that_goes_on_for_ever_is_refused() {
    let (mut reply, mut events) = (Reply::default(), Vec::new());
    reply
        .feed(b"===OUTPUT_START===\n===OUTPUT_END===\n===EXIT_CODE=0===\n===END===\n", &mut events);
    let line = [b'x'; 1000];
    for _ in 0..=MAX_HELD / line.len() {
        reply.feed(&line, &mut events);
        reply.feed(b"\n", &mut events);
    }
    assert!(matches!(events.last(), Some(Event::Refused(_))), "{events:?}");
    assert!(reply.is_over());
}
