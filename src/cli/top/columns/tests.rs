use proptest::prelude::*;

use super::*;

fn columns(line: &str) -> Result<Vec<Column>> {
    parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
}

fn process() -> ProcessInfo {
    ProcessInfo {
        pid: 7,
        parent: 2,
        uid: 33,
        user: "www-data".to_owned(),
        tty: 34816,
        state: b'S',
        threads: 3,
        virtual_bytes: 4096 * 1024,
        resident_bytes: 120 * 1024,
        age: Duration::from_secs(100),
        cpu: Duration::from_secs(50),
        name: b"sh".to_vec(),
        command: b"sh\0-c\0echo\x1b[2J\0".to_vec(),
    }
}

fn view() -> View {
    let now = "2026-03-04T12:30:00[UTC]".parse().unwrap();
    View { now, memory: 1200 * 1024 }
}

fn line(options: &str, info: &ProcessInfo) -> String {
    let cells = columns(options).unwrap();
    cells.iter().map(|c| view().cell(*c, info)).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_default_is_dockers() {
    let heads: Vec<_> = FULL.iter().map(|c| c.heading()).collect();
    assert_eq!(heads, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    let full = "www-data 7 2 50 12:28 pts/0 00:00:50 sh -c echo\u{fffd}[2J";
    assert_eq!(line("", &process()), full);
    assert_eq!(line("-ef", &process()), full);
    let aux = "www-data 7 50.0 10.0 4096 120 pts/0 S 12:28 00:00:50 sh -c echo\u{fffd}[2J";
    assert_eq!(line("aux", &process()), aux);
}

#[test]
fn fields_are_the_ones_that_were_asked_for() {
    assert_eq!(line("-o pid,comm", &process()), "7 sh");
    assert_eq!(line("-eo uid,nlwp -o etime", &process()), "33 3 01:40");
    assert_eq!(line("-opid", &process()), "7");
    let nobody = ProcessInfo { user: String::new(), command: vec![], ..process() };
    assert_eq!(line("-o user,args", &nobody), "33 [sh]");
    for bad in ["-x", "aux -o pid", "-o", "-o nice", "-o pid=X", "-e", "--forest", "-ef -x"] {
        assert!(columns(bad).is_err(), "{bad}");
    }
}

#[test]
fn times_and_terminals_are_written_as_ps_does() {
    assert_eq!(clock(Duration::from_secs(93_784), true), "1-02:03:04");
    assert_eq!(clock(Duration::from_secs(64), false), "01:04");
    assert_eq!(view().started(Duration::from_secs(86_400)), "Mar03");
    assert_eq!(view().started(Duration::from_secs(86_400 * 100)), "2025");
    assert_eq!(view().started(Duration::MAX), "?");
    assert_eq!([0, 0x501, 0xe500].map(terminal), ["?", "console", "hvc0"]);
}

proptest! {
    #[test]
    fn a_hostile_guest_writes_one_line(
        numbers in any::<[u32; 5]>(), sizes in any::<[u64; 2]>(), times in any::<[Duration; 2]>(),
        user in any::<String>(), state in any::<u8>(), name in any::<Vec<u8>>(),
        command in any::<Vec<u8>>(), memory in any::<u64>(),
    ) {
        let [pid, parent, uid, tty, threads] = numbers;
        let ([virtual_bytes, resident_bytes], [age, cpu]) = (sizes, times);
        let info = ProcessInfo {
            pid, parent, uid, user, tty, state, threads, virtual_bytes, resident_bytes, age,
            cpu, name, command,
        };
        let view = View { memory, ..view() };
        for (column, ..) in FIELDS {
            prop_assert!(!view.cell(column, &info).contains(|c: char| c.is_control()));
        }
    }
}
