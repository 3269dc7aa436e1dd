use vxn_proto::VERSION;

use super::*;

fn spec(stdin: bool) -> ProcessSpec {
    let args = vec![b"true".to_vec()];
    ProcessSpec {
        args,
        env: vec![],
        cwd: vec![],
        user: String::new(),
        tty: None,
        stdin,
        groups: None,
        umask: None,
    }
}

fn running(stdin: bool) -> (Session, ProcessId) {
    let mut session = Session::new();
    let hello = ToHost::Hello { min: VERSION, max: VERSION, kernel: "6.1".into() };
    let event = session.receive(Frame::Message(hello)).unwrap();
    assert_eq!(event, Some(Event::Hello { version: VERSION }));
    let process = session.start(spec(stdin)).unwrap();
    (session, process)
}

fn data(stream: StreamId, length: usize) -> Frame<ToHost> {
    Frame::Data { stream, body: vec![0; length] }
}

#[test]
fn output_beyond_the_window_ends_the_conversation() {
    let (mut session, process) = running(false);
    let stream = StreamId::stdout(process);
    for _ in 0..4 {
        session.receive(data(stream, 65536)).unwrap();
    }
    let error = session.receive(data(stream, 1)).unwrap_err();
    assert!(matches!(error, Error::Window(Violation::Overrun { .. })), "{error}");
}

#[test]
fn consumed_output_opens_the_window_again() {
    let (mut session, process) = running(false);
    let stream = StreamId::stdout(process);
    for _ in 0..64 {
        session.receive(data(stream, 65536)).unwrap();
        session.consumed(stream, 65536).unwrap();
    }
}

#[test]
fn stdin_stops_at_the_window_and_goes_on_with_credit() {
    let (mut session, process) = running(true);
    let big = vec![7; 300_000];
    let taken = session.send_stdin(process, &big);
    assert_eq!(taken, vxn_proto::WINDOW as usize);
    let credit = ToHost::Window { stream: StreamId::stdin(process), bytes: 1000 };
    session.receive(Frame::Message(credit)).unwrap();
    assert_eq!(session.stdin_room(process), Some(1000));
    session.close_stdin(process);
    assert_eq!(session.stdin_room(process), None);
}

#[test]
fn a_process_that_is_over_leaves_nothing() {
    let (mut session, main) = running(false);
    for _ in 0..=u16::MAX {
        let process = session.start(spec(true)).unwrap();
        assert_ne!(process, main);
        for stream in [StreamId::stdout(process), StreamId::stderr(process)] {
            session.receive(Frame::Eof { stream }).unwrap();
        }
        let exited = ToHost::Exited { process, status: ExitStatus::Code(0), oom_killed: false };
        session.receive(Frame::Message(exited)).unwrap();
        session.outbox().clear();
    }
    assert_eq!(session.processes.len(), 1);
}

#[test]
fn what_comes_out_of_turn_is_refused() {
    let (mut session, process) = running(false);
    let other = ProcessId(9);
    let exited =
        |process| ToHost::Exited { process, status: ExitStatus::Code(0), oom_killed: false };
    assert!(session.receive(Frame::Message(exited(other))).is_err());
    assert!(session.receive(data(StreamId::stdout(other), 1)).is_err());
    session.receive(Frame::Message(exited(process))).unwrap();
    assert!(session.receive(Frame::Message(exited(process))).is_err());
    let end = Frame::Eof { stream: StreamId::stdout(process) };
    session.receive(end.clone()).unwrap();
    assert!(session.receive(end).is_err());
    assert!(session.receive(Frame::Message(ToHost::Configured)).is_err());
    let hello = ToHost::Hello { min: VERSION, max: VERSION, kernel: String::new() };
    assert!(session.receive(Frame::Message(hello)).is_err());
}

#[test]
fn each_word_about_the_network_has_one_answer() {
    let networked = || Frame::Message(ToHost::Networked { error: None });
    let (mut session, _) = running(false);
    assert!(session.receive(networked()).is_err(), "it was told nothing");
    session.network(vxn_proto::Network::default()).unwrap();
    assert_eq!(session.receive(networked()).unwrap(), Some(Event::Networked(None)));
    assert!(session.receive(networked()).is_err());
}

#[test]
fn answers_come_in_the_order_of_the_questions_and_to_nothing_else() {
    let usage = || ToHost::Answer(Answer::Usage(Default::default()));
    let none = || ToHost::Answer(Answer::Processes { processes: vec![], omitted: 0 });
    let (mut session, _) = running(false);
    session.query(Query::Processes).unwrap();
    session.query(Query::Usage).unwrap();
    let event = session.receive(Frame::Message(none())).unwrap();
    assert!(matches!(event, Some(Event::Answer(Answer::Processes { .. }))), "{event:?}");
    let event = session.receive(Frame::Message(usage())).unwrap();
    assert!(matches!(event, Some(Event::Answer(Answer::Usage(_)))), "{event:?}");
    assert!(session.receive(Frame::Message(usage())).is_err(), "nobody has asked");
    session.query(Query::Processes).unwrap();
    assert!(session.receive(Frame::Message(usage())).is_err(), "another question");
}
