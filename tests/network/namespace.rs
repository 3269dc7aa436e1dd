//! Hosts that are network namespaces: a thread each, which does what it is told.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, gettid};
use vxn::network::{Lease, Protocol};

type Job = Box<dyn FnOnce() + Send>;

/// How long a packet may take, and how long one that must not come is awaited.
const PATIENCE: Duration = Duration::from_secs(20);
const SILENCE: Duration = Duration::from_millis(700);

/// A network namespace. It ends with its thread and all that was made in it.
pub struct Namespace {
    jobs: Sender<Job>,
    thread: Pid,
}

impl Namespace {
    /// An empty one, but for the loopback device; `None`, and a word why, where
    /// there can be none.
    pub fn new(test: &str) -> Option<Namespace> {
        let (jobs, received) = channel::<Job>();
        let (send, made) = channel();
        std::thread::spawn(move || {
            let unshared = unshare(CloneFlags::CLONE_NEWNET);
            send.send(unshared.map(|()| gettid())).unwrap();
            received.into_iter().for_each(|job| job());
        });
        match made.recv().unwrap() {
            Ok(thread) => {
                let namespace = Namespace { jobs, thread };
                namespace.ip("link set lo up");
                Some(namespace)
            }
            Err(e) => {
                assert!(std::env::var_os(testbed::shared::REQUIRED).is_none(), "no namespace: {e}");
                eprintln!("SKIPPED: {test}: no network namespace: {e}");
                None
            }
        }
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        format!("/proc/self/task/{}/ns/net", self.thread).into()
    }

    /// Does something in the namespace. Sockets stay in the one where they were
    /// made, whoever uses them.
    pub fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (send, result) = channel();
        self.jobs.send(Box::new(move || send.send(job()).unwrap())).unwrap();
        result.recv().expect("the job has panicked")
    }

    /// Runs a program and returns what it writes.
    #[track_caller]
    pub fn output(&self, program: &str, arguments: &str) -> String {
        let words: Vec<String> = arguments.split_whitespace().map(str::to_owned).collect();
        let name = program.to_owned();
        let output = self.run(move || testbed::tool::command(name).args(words).output()).unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{program} {arguments}: {error}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs ip(8).
    #[track_caller]
    pub fn ip(&self, arguments: &str) {
        self.output("ip", arguments);
    }

    /// Sets a switch below `/proc/sys/net`, where this kernel has it.
    pub fn set(&self, name: &str, value: &'static str) {
        let file = Path::new("/proc/sys/net").join(name);
        self.run(move || !file.exists() || std::fs::write(file, value).is_ok());
    }

    /// A cable: `ours` here, `theirs` there, both up.
    pub fn cable(&self, ours: &str, other: &Namespace, theirs: &str) {
        let thread = other.thread;
        self.ip(&format!("link add {ours} type veth peer name {theirs} netns {thread}"));
        self.ip(&format!("link set {ours} up"));
        other.ip(&format!("link set {theirs} up"));
    }

    /// Makes `guest` what a DomU with that lease is: a cable to the bridge, and
    /// addresses.
    pub fn plug(&self, guest: &Namespace, lease: &Lease) {
        let Lease { bridge, mac, addresses, gateways, .. } = lease;
        let port = format!("v{}", mac.to_string().replace(':', ""));
        self.cable(&port, guest, "eth0");
        self.ip(&format!("link set {port} master {bridge}"));
        guest.ip(&format!("link set eth0 address {mac}"));
        for address in addresses {
            let nodad = if address.addr().is_ipv6() { "nodad" } else { "" };
            guest.ip(&format!("address add {address} dev eth0 {nodad}"));
        }
        for gateway in gateways {
            guest.ip(&format!("route add default via {gateway}"));
        }
    }

    /// Serves TCP and UDP on a port: whoever asks is told the address that he
    /// comes from.
    pub fn serve(&self, port: u16) {
        let (tcp, udp) = self.run(move || {
            (TcpListener::bind(("::", port)).unwrap(), UdpSocket::bind(("::", port)).unwrap())
        });
        std::thread::spawn(move || {
            for client in tcp.incoming() {
                let mut client = client.unwrap();
                let peer = client.peer_addr().unwrap().ip().to_canonical();
                // A client may have gone already.
                let _ = client.write_all(peer.to_string().as_bytes());
            }
        });
        std::thread::spawn(move || {
            loop {
                let (_, peer) = udp.recv_from(&mut [0; 64]).unwrap();
                let _ = udp.send_to(peer.ip().to_canonical().to_string().as_bytes(), peer);
            }
        });
    }

    /// The address that the server sees us come from.
    #[track_caller]
    pub fn ask(&self, protocol: Protocol, to: &str) -> IpAddr {
        match self.try_ask(protocol, to, PATIENCE) {
            Ok(answer) => answer.parse().unwrap(),
            Err(e) => panic!("{protocol} {to}: {e}"),
        }
    }

    /// Nobody answers there.
    #[track_caller]
    pub fn assert_silent(&self, protocol: Protocol, to: &str) {
        if let Ok(answer) = self.try_ask(protocol, to, SILENCE) {
            panic!("{protocol} {to} answers {answer:?}");
        }
    }

    fn try_ask(&self, protocol: Protocol, to: &str, limit: Duration) -> io::Result<String> {
        let to: SocketAddr = to.parse().unwrap();
        self.run(move || match protocol {
            Protocol::Tcp => ask_tcp(to, limit),
            Protocol::Udp => ask_udp(to, limit),
        })
    }

    /// What there is of vxn's in this namespace: its table and all bridges.
    pub fn remains(&self) -> String {
        let tables = self.output("nft", "list tables");
        tables + &self.output("ip", "-o link show type bridge")
    }
}

fn ask_tcp(to: SocketAddr, limit: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&to, limit)?;
    stream.set_read_timeout(Some(limit))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).map(|_| text)
}

fn ask_udp(to: SocketAddr, limit: Duration) -> io::Result<String> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let client = UdpSocket::bind(any)?;
    client.connect(to)?;
    client.set_read_timeout(Some(limit))?;
    client.send(b"who am I?")?;
    let mut bytes = [0; 64];
    let n = client.recv(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..n]).into_owned())
}
