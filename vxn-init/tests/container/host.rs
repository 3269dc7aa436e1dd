//! The host's side: speaks the protocol and collects what comes.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Child, Stdio},
    time::Duration,
};

use crate::guest::SETTINGS;
use vxn_proto::{
    Answer, Container, Decoder, ExitStatus, Frame, ProcessId, ProcessSpec, Query, ReceiveWindow,
    SendWindow, StartFailure, StreamId, StreamKind, ToGuest, ToHost, WindowSize, encode_data,
    encode_eof, encode_message,
};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The main process of these tests.
pub const MAIN: ProcessId = ProcessId(0);

/// A guest and what it has said.
pub struct Host {
    child: Child,
    socket: UnixStream,
    decoder: Decoder<ToHost>,
    pub messages: Vec<ToHost>,
    pub data: BTreeMap<StreamId, Vec<u8>>,
    pub ended: Vec<StreamId>,
    windows: BTreeMap<StreamId, ReceiveWindow>,
    /// Streams that get no credit.
    pub stalled: Vec<StreamId>,
    /// What is left to send to stdin of a process, and its window.
    stdin: Option<(ProcessId, Vec<u8>, SendWindow)>,
    _dir: tempfile::TempDir,
}

/// How a process ended.
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub status: ExitStatus,
    pub oom_killed: bool,
}

pub fn spec(args: &[&str]) -> ProcessSpec {
    ProcessSpec {
        args: args.iter().map(|arg| arg.as_bytes().to_vec()).collect(),
        env: Vec::new(),
        cwd: Vec::new(),
        user: String::new(),
        tty: None,
        stdin: false,
        groups: None,
        umask: None,
    }
}

pub fn shell(script: &str) -> ProcessSpec {
    spec(&["sh", "-c", script])
}

impl Host {
    /// A guest with docker's defaults.
    pub fn new() -> Self {
        Self::with(&Container::default())
    }

    #[expect(clippy::disallowed_methods, reason = "a test starts itself once more")]
    pub fn with(settings: &Container) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(SETTINGS), serde_json::to_vec(settings).unwrap()).unwrap();
        let (socket, theirs) = UnixStream::pair().unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .arg("--guest")
            .arg(dir.path())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()
            .unwrap();
        let mut host = Self {
            child,
            socket,
            decoder: Decoder::new(),
            messages: Vec::new(),
            data: BTreeMap::new(),
            ended: Vec::new(),
            windows: BTreeMap::new(),
            stalled: Vec::new(),
            stdin: None,
            _dir: dir,
        };
        host.until(|host| host.messages.contains(&ToHost::Configured));
        host
    }

    pub fn send(&mut self, message: &ToGuest) {
        let mut bytes = Vec::new();
        encode_message(message, &mut bytes).unwrap();
        self.socket.write_all(&bytes).unwrap();
    }

    pub fn start(&mut self, process: ProcessId, spec: ProcessSpec) {
        self.send(&ToGuest::Start { process, spec });
    }

    /// Starts a process and waits until it runs.
    pub fn started(&mut self, process: ProcessId, spec: ProcessSpec) {
        self.start(process, spec);
        let is_start = |message: &ToHost| matches!(message, ToHost::Started { process: started, .. } if *started == process);
        self.until(|host| host.status(process).is_some() || host.messages.iter().any(is_start));
    }

    /// Runs the main process to its end.
    pub fn run(&mut self, spec: ProcessSpec) -> Output {
        self.start(MAIN, spec);
        self.finish(MAIN)
    }

    /// Runs the main process with `input` on its stdin.
    pub fn feed(&mut self, mut spec: ProcessSpec, input: Vec<u8>) -> Output {
        spec.stdin = true;
        self.started(MAIN, spec);
        self.feed_as(MAIN, input);
        self.finish(MAIN)
    }

    /// Sends `input` to the stdin of a process, and its end.
    pub fn feed_as(&mut self, process: ProcessId, input: Vec<u8>) {
        self.stdin = Some((process, input, SendWindow::new()));
        self.push_stdin();
    }

    /// The process id of a process that has started.
    pub fn pid(&self, process: ProcessId) -> u32 {
        let started = self.messages.iter().find_map(|message| match message {
            ToHost::Started { process: started, pid } if *started == process => Some(*pid),
            _ => None,
        });
        started.expect("it has started")
    }

    /// Waits for the end of a process.
    pub fn finish(&mut self, process: ProcessId) -> Output {
        self.until(|host| host.status(process).is_some());
        let status = self.status(process).unwrap();
        let killed = |message: &ToHost| matches!(message, ToHost::Exited { process: exited, oom_killed: true, .. } if *exited == process);
        let oom_killed = self.messages.iter().any(killed);
        let mut take = |id| self.data.remove(&id).unwrap_or_default();
        let (stdout, stderr) = (take(StreamId::stdout(process)), take(StreamId::stderr(process)));
        Output { stdout, stderr, status, oom_killed }
    }

    pub fn status(&self, process: ProcessId) -> Option<ExitStatus> {
        self.messages.iter().find_map(|message| match message {
            ToHost::Exited { process: exited, status, .. } if *exited == process => Some(*status),
            ToHost::StartFailed { process: failed, message, .. } if *failed == process => {
                panic!("not started: {message}")
            }
            _ => None,
        })
    }

    /// Starts the main process, which must fail to start.
    pub fn fail(&mut self, spec: ProcessSpec) -> (StartFailure, String) {
        self.fail_as(MAIN, spec)
    }

    /// Starts a process that must fail to start.
    pub fn fail_as(&mut self, id: ProcessId, spec: ProcessSpec) -> (StartFailure, String) {
        self.messages.clear();
        self.start(id, spec);
        self.until(|host| !host.messages.is_empty());
        match self.messages.remove(0) {
            ToHost::StartFailed { process, reason, message } if process == id => (reason, message),
            other => panic!("{other:?} instead of a failure"),
        }
    }

    /// Types into the main process's stdin.
    pub fn type_in(&mut self, text: &str) {
        let mut bytes = Vec::new();
        encode_data(StreamId::stdin(MAIN), text.as_bytes(), &mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    pub fn end_stdin(&mut self) {
        let mut bytes = Vec::new();
        encode_eof(StreamId::stdin(MAIN), &mut bytes);
        self.socket.write_all(&bytes).unwrap();
    }

    /// Receives until something is so.
    pub fn until(&mut self, so: impl Fn(&Self) -> bool) {
        let mut buffer = [0; 65536];
        while !so(self) {
            let count = self.socket.read(&mut buffer).expect("the guest is silent");
            assert!(count > 0, "the guest is gone; it said {:?}", self.messages);
            let mut input = &buffer[..count];
            while let Some(frame) = self.decoder.decode(&mut input).unwrap() {
                self.take(frame);
            }
        }
    }

    fn take(&mut self, frame: Frame<ToHost>) {
        match frame {
            Frame::Message(ToHost::Window { stream, bytes }) => {
                assert_eq!(stream.kind, StreamKind::Stdin);
                if let Some((_, _, window)) = &mut self.stdin {
                    window.credit(bytes).unwrap();
                }
                self.push_stdin();
            }
            Frame::Message(message) => self.messages.push(message),
            Frame::Data { stream, body } => {
                let window = self.windows.entry(stream).or_default();
                window.received(body.len()).unwrap();
                if !self.stalled.contains(&stream) {
                    if let Some(bytes) = window.consumed(body.len()) {
                        self.send(&ToGuest::Window { stream, bytes });
                    }
                }
                self.data.entry(stream).or_default().extend(body);
            }
            Frame::Eof { stream } => self.ended.push(stream),
        }
    }

    /// Gives a stream that was stalled all the credit it has missed.
    pub fn release(&mut self, stream: StreamId) {
        self.stalled.retain(|stalled| *stalled != stream);
        let bytes = self.data.get(&stream).map_or(0, Vec::len);
        let window = self.windows.entry(stream).or_default();
        if let Some(bytes) = window.consumed(bytes) {
            self.send(&ToGuest::Window { stream, bytes });
        }
    }

    fn push_stdin(&mut self) {
        let Some((process, rest, window)) = &mut self.stdin else { return };
        let count = window.take(rest.len());
        let mut bytes = Vec::new();
        encode_data(StreamId::stdin(*process), &rest[..count], &mut bytes);
        rest.drain(..count);
        if rest.is_empty() {
            encode_eof(StreamId::stdin(*process), &mut bytes);
            self.stdin = None;
        }
        self.socket.write_all(&bytes).unwrap();
    }

    /// The answer to a question.
    pub fn ask(&mut self, query: Query) -> Answer {
        self.messages.clear();
        self.send(&ToGuest::Query(query));
        self.until(|host| host.messages.iter().any(|m| matches!(m, ToHost::Answer(_))));
        let mut answers = self.messages.drain(..).filter_map(|message| match message {
            ToHost::Answer(answer) => Some(answer),
            _ => None,
        });
        answers.next_back().expect("it has come")
    }

    /// Hangs up and waits for the guest's end.
    pub fn hang_up(mut self) -> bool {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
        self.child.wait().unwrap().success()
    }

    pub fn resize(&mut self, size: WindowSize) {
        self.send(&ToGuest::Resize { process: MAIN, size });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
