use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;

use nix::sys::signal::raise;
use nix::unistd::pipe;
use vxn_proto::{Decoder, StreamId};

use super::super::control::STREAMS;
use super::super::monitor::signal_fd;
use super::*;

/// A monitor whose process is `cat`. Returns the client's other messages.
fn cat(mut link: UnixStream) -> Vec<ToMonitor> {
    let mut decoder = Decoder::<ToMonitor>::new();
    let (mut window, mut said) = (ReceiveWindow::new(), Vec::new());
    let mut buffer = vec![0; 65536];
    loop {
        // Reset when the client has gone with something unread.
        let length = link.read(&mut buffer).unwrap_or(0);
        if length == 0 {
            return said;
        }
        let (mut input, mut answer) = (&buffer[..length], Vec::new());
        while let Some(frame) = decoder.decode(&mut input).unwrap() {
            match frame {
                Frame::Data { body, .. } => {
                    window.received(body.len()).unwrap();
                    vxn_proto::encode_data(StreamId::stdout(STREAMS), &body, &mut answer);
                }
                // What it writes is what it reads: one window is for both.
                Frame::Message(ToMonitor::Window { bytes, .. }) => {
                    if let Some(bytes) = window.consumed(bytes as usize) {
                        let credit = ToClient::Window { bytes };
                        vxn_proto::encode_message(&credit, &mut answer).unwrap();
                    }
                }
                Frame::Eof { .. } => {
                    vxn_proto::encode_data(StreamId::stderr(STREAMS), b"end", &mut answer);
                    let ended = ToClient::Ended(Report::exited(7));
                    vxn_proto::encode_message(&ended, &mut answer).unwrap();
                }
                Frame::Message(message) => said.push(message),
            }
        }
        // The client may have gone with what it wanted.
        let _ = link.write_all(&answer);
    }
}

/// Talks to `cat` with `input` on stdin, whose end comes unless keys leave.
fn talk(input: Vec<u8>, keys: Option<DetachKeys>) -> (Outcome, Vec<u8>, Vec<u8>, Vec<ToMonitor>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let monitor = thread::spawn(move || cat(theirs));
    let (read, write) = pipe().unwrap();
    let typist = thread::spawn(move || File::from(write).write_all(&input).unwrap());
    let reader = || {
        let (read, write) = pipe().unwrap();
        let mut text = Vec::new();
        (write, thread::spawn(move || File::from(read).read_to_end(&mut text).map(|_| text)))
    };
    let ((out, out_reader), (err, err_reader)) = (reader(), reader());
    let streams = Streams::over(Some(read), [out, err], keys).unwrap();
    let signals = signal_fd(&[]).unwrap();
    let connection = Connection::over(ours);
    let outcome = Talk::new(connection, signals, Some(streams), Until::Ended).run().unwrap();
    typist.join().unwrap();
    let text = |reader: thread::JoinHandle<io::Result<Vec<u8>>>| reader.join().unwrap().unwrap();
    (outcome, text(out_reader), text(err_reader), monitor.join().unwrap())
}

#[test]
fn streams_come_whole_and_so_does_the_end() {
    let input: Vec<u8> = (0..2_000_000_u32).map(|n| (n ^ (n >> 8)) as u8).collect();
    let (outcome, out, err, said) = talk(input.clone(), None);
    assert!(matches!(outcome, Outcome::Ended(report) if report.code == 7));
    assert!(out == input, "{} bytes came back", out.len());
    assert_eq!((err, said), (b"end".to_vec(), vec![]));
}

#[test]
fn keys_leave_without_ending_anything() {
    let (outcome, _, _, said) = talk(b"abc\x10\x11".to_vec(), Some(DetachKeys::default()));
    assert!(matches!(outcome, Outcome::Left));
    assert_eq!(said, [ToMonitor::Leave]);
}

#[test]
fn a_signal_that_is_not_passed_on_ends_the_talk_alone() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let monitor = thread::spawn(move || cat(theirs));
    let signals = signal_fd(&[]).unwrap();
    // Blocked above, it waits for whoever asks.
    raise(Signal::SIGUSR1).unwrap();
    let talk = Talk::new(Connection::over(ours), signals, None, Until::Ended);
    let outcome = talk.passing_signals(false).run().unwrap();
    assert!(matches!(outcome, Outcome::Interrupted(signal) if signal == Signal::SIGUSR1 as u8));
    assert_eq!(monitor.join().unwrap(), [ToMonitor::Leave]);
}

#[test]
fn a_monitor_that_is_gone_is_noticed() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let signals = signal_fd(&[]).unwrap();
    let talk = Talk::new(Connection::over(ours), signals, None, Until::Started);
    assert!(matches!(talk.run(), Err(Error::Lost)));
}
