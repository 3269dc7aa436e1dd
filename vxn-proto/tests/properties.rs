//! Properties of the codec and of the windows.

mod check;

use std::time::Duration;

use proptest::{collection::vec, option, prelude::*};
use vxn_proto::{
    Answer, Configure, Container, Entropy, ExitStatus, FileRequest, FileSystem, Frame, Instruction,
    Interface, Limits, MAX_DATA, Network, Privileges, ProcessId, ProcessInfo, ProcessSpec, Query,
    ReceiveWindow, Root, Route, Seccomp, SendWindow, Share, StartFailure, StreamId, StreamKind,
    Tmpfs, ToGuest, ToHost, Ulimit, Usage, WINDOW, WindowSize, Writable,
};

fn process() -> impl Strategy<Value = ProcessId> {
    any::<u16>().prop_map(ProcessId)
}

fn stream(kinds: &'static [StreamKind]) -> impl Strategy<Value = StreamId> {
    let kind = prop::sample::select(kinds);
    (process(), kind).prop_map(|(process, kind)| StreamId { process, kind })
}

fn size() -> impl Strategy<Value = WindowSize> {
    any::<(u16, u16)>().prop_map(|(rows, columns)| WindowSize { rows, columns })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40)
}

fn limits() -> impl Strategy<Value = Limits> {
    let ulimit =
        any::<(String, u64, u64)>().prop_map(|(name, soft, hard)| Ulimit { name, soft, hard });
    let numbers = any::<(Option<u64>, Option<u64>, Option<i16>)>();
    (numbers, vec(ulimit, 0..3), vec(any::<(String, String)>(), 0..3)).prop_map(
        |((pids, shm_bytes, oom_score_adj), ulimits, sysctls)| Limits {
            pids,
            ulimits,
            shm_bytes,
            sysctls,
            oom_score_adj,
        },
    )
}

fn privileges() -> impl Strategy<Value = Privileges> {
    let names = || vec(any::<String>(), 0..3);
    (any::<[bool; 3]>(), names(), names()).prop_map(
        |([privileged, no_new_privileges, unmasked], cap_add, cap_drop)| Privileges {
            privileged,
            cap_add,
            cap_drop,
            no_new_privileges,
            unmasked,
        },
    )
}

fn seccomp() -> impl Strategy<Value = Seccomp> {
    let instruction = any::<[u8; Instruction::BYTES]>().prop_map(Instruction::from_bytes);
    (any::<u32>(), vec(instruction, 0..9)).prop_map(|(flags, program)| Seccomp { flags, program })
}

fn configure() -> impl Strategy<Value = ToGuest> {
    let fs = prop::sample::select(&[FileSystem::SquashFs, FileSystem::Erofs, FileSystem::Ext4]);
    let writable = prop_oneof![
        option::of(any::<u64>()).prop_map(|size_bytes| Writable::Tmpfs { size_bytes }),
        any::<String>().prop_map(|device| Writable::Disk { device }),
    ];
    let root = (any::<String>(), fs, writable).prop_map(|(device, fs, writable)| Root {
        device,
        fs,
        writable,
    });
    let tmpfs = (any::<String>(), vec(any::<String>(), 0..3))
        .prop_map(|(path, options)| Tmpfs { path, options });
    let container = (
        any::<bool>(),
        vec(tmpfs, 0..3),
        limits(),
        privileges(),
        option::of(seccomp()),
    )
        .prop_map(|(read_only, tmpfs, limits, privileges, seccomp)| {
            let (groups, domainname) = (vec!["wheel".to_owned()], "example.org".to_owned());
            let disks = vec!["xvdc".to_owned()];
            Container { read_only, tmpfs, limits, privileges, groups, domainname, disks, seccomp }
        });
    (any::<u32>(), bytes(), any::<Duration>(), any::<String>(), root, container).prop_map(
        |(version, entropy, time, hostname, root, container)| {
            let entropy = Entropy(entropy);
            ToGuest::Configure(Box::new(Configure {
                version,
                entropy,
                time,
                hostname,
                root,
                container,
            }))
        },
    )
}

fn network() -> impl Strategy<Value = ToGuest> {
    type Ip = std::net::IpAddr;
    let address = any::<(Ip, u8)>();
    let route = any::<((Ip, u8), Option<Ip>, Option<Ip>, Option<u32>, bool)>().prop_map(
        |(destination, gateway, source, metric, onlink)| Route {
            destination,
            gateway,
            source,
            metric,
            onlink,
        },
    );
    let lists = (vec(address, 0..3), vec(route, 0..3), vec(any::<(Ip, [u8; 6])>(), 0..3));
    let interface = (any::<[u8; 6]>(), any::<String>(), any::<u32>(), lists).prop_map(
        |(mac, name, mtu, (addresses, routes, neighbours))| Interface {
            mac,
            name,
            mtu,
            addresses,
            routes,
            neighbours,
        },
    );
    (vec(interface, 0..3), any::<String>(), any::<String>()).prop_map(
        |(interfaces, hosts, resolv_conf)| {
            ToGuest::Network(Network { interfaces, hosts, resolv_conf })
        },
    )
}

fn shares() -> impl Strategy<Value = ToGuest> {
    let share = any::<(String, bool, bool, Vec<String>, bool)>().prop_map(
        |(path, read_only, directory, options, fill)| Share {
            path,
            read_only,
            directory,
            options,
            fill,
        },
    );
    vec(share, 0..3).prop_map(ToGuest::Shares)
}

fn file_request() -> impl Strategy<Value = FileRequest> {
    prop_oneof![
        (bytes(), any::<bool>()).prop_map(|(path, follow)| FileRequest::Pack { path, follow }),
        (bytes(), any::<bool>(), any::<bool>()).prop_map(|(path, any, keep_owners)| {
            FileRequest::Unpack { path, any, keep_owners }
        }),
        Just(FileRequest::Export),
        Just(FileRequest::Changes),
        any::<bool>().prop_map(|freeze| FileRequest::Layer { freeze }),
    ]
}

fn spec() -> impl Strategy<Value = ProcessSpec> {
    (
        vec(bytes(), 0..5),
        vec(bytes(), 0..5),
        bytes(),
        any::<String>(),
        option::of(size()),
        any::<bool>(),
        option::of(vec(any::<u32>(), 0..5)),
        option::of(any::<u32>()),
    )
        .prop_map(|(args, env, cwd, user, tty, stdin, groups, umask)| ProcessSpec {
            args,
            env,
            cwd,
            user,
            tty,
            stdin,
            groups,
            umask,
        })
}

const TO_GUEST: &[StreamKind] = &[StreamKind::Stdin];
const TO_HOST: &[StreamKind] = &[StreamKind::Stdout, StreamKind::Stderr];

fn to_guest() -> impl Strategy<Value = ToGuest> {
    prop_oneof![
        configure(),
        (process(), spec()).prop_map(|(process, spec)| ToGuest::Start { process, spec }),
        (process(), any::<u8>()).prop_map(|(process, signal)| ToGuest::Signal { process, signal }),
        (process(), size()).prop_map(|(process, size)| ToGuest::Resize { process, size }),
        (stream(TO_HOST), any::<u32>())
            .prop_map(|(stream, bytes)| ToGuest::Window { stream, bytes }),
        Just(ToGuest::PowerOff),
        stream(TO_HOST).prop_map(|stream| ToGuest::HangUp { stream }),
        network(),
        shares(),
        prop::sample::select(&[Query::Processes, Query::Usage]).prop_map(ToGuest::Query),
        (process(), file_request())
            .prop_map(|(process, request)| ToGuest::Files { process, request }),
    ]
}

fn answer() -> impl Strategy<Value = Answer> {
    let numbers = any::<([u32; 5], u8, [u64; 2], [Duration; 2])>();
    let process = (numbers, any::<String>(), bytes(), bytes()).prop_map(
        |(([pid, parent, uid, tty, threads], state, sizes, times), user, name, command)| {
            let [virtual_bytes, resident_bytes] = sizes;
            let [age, cpu] = times;
            ProcessInfo {
                pid,
                parent,
                uid,
                user,
                tty,
                state,
                threads,
                virtual_bytes,
                resident_bytes,
                age,
                cpu,
                name,
                command,
            }
        },
    );
    prop_oneof![
        (vec(process, 0..4), any::<u32>())
            .prop_map(|(processes, omitted)| Answer::Processes { processes, omitted }),
        any::<[u64; 3]>().prop_map(|[memory_used, memory_total, tasks]| {
            Answer::Usage(Usage { memory_used, memory_total, tasks })
        }),
    ]
}

fn to_host() -> impl Strategy<Value = ToHost> {
    let reason = prop::sample::select(&[
        StartFailure::NotFound,
        StartFailure::NotExecutable,
        StartFailure::Other,
    ]);
    let status = prop_oneof![
        any::<u8>().prop_map(ExitStatus::Code),
        any::<u8>().prop_map(ExitStatus::Signal),
    ];
    prop_oneof![
        any::<(u32, u32, String)>().prop_map(|(min, max, kernel)| ToHost::Hello {
            min,
            max,
            kernel
        }),
        Just(ToHost::Configured),
        (process(), any::<u32>()).prop_map(|(process, pid)| ToHost::Started { process, pid }),
        (process(), reason, any::<String>()).prop_map(|(process, reason, message)| {
            ToHost::StartFailed { process, reason, message }
        }),
        (process(), status, any::<bool>()).prop_map(|(process, status, oom_killed)| {
            ToHost::Exited { process, status, oom_killed }
        }),
        (stream(TO_GUEST), any::<u32>())
            .prop_map(|(stream, bytes)| ToHost::Window { stream, bytes }),
        any::<String>().prop_map(|message| ToHost::Failed { message }),
        answer().prop_map(ToHost::Answer),
    ]
}

/// Frames of one direction.
fn frames<M: std::fmt::Debug + Clone + 'static>(
    message: impl Strategy<Value = M> + 'static,
    kinds: &'static [StreamKind],
) -> impl Strategy<Value = Vec<Frame<M>>> {
    let body = prop_oneof![vec(any::<u8>(), 1..50), Just(vec![7; MAX_DATA])];
    let frame = prop_oneof![
        message.prop_map(Frame::Message),
        (stream(kinds), body).prop_map(|(stream, body)| Frame::Data { stream, body }),
        stream(kinds).prop_map(|stream| Frame::Eof { stream }),
    ];
    vec(frame, 0..8)
}

proptest! {
    #[test]
    fn frames_to_the_guest_survive_any_cutting(
        frames in frames(to_guest(), TO_GUEST), piece in 1_usize..9000,
    ) {
        let bytes = check::encode(&frames);
        prop_assert_eq!(check::decode(&bytes, piece), (frames, Ok(())));
    }

    #[test]
    fn frames_to_the_host_survive_any_cutting(
        frames in frames(to_host(), TO_HOST), piece in 1_usize..9000,
    ) {
        let bytes = check::encode(&frames);
        prop_assert_eq!(check::decode(&bytes, piece), (frames, Ok(())));
    }

    #[test]
    fn an_instruction_survives_its_bytes(bytes in any::<[u8; Instruction::BYTES]>()) {
        prop_assert_eq!(Instruction::from_bytes(bytes).to_bytes(), bytes);
    }

    #[test]
    fn any_bytes_are_safe(bytes in vec(any::<u8>(), 0..300)) {
        check::check::<ToGuest>(&bytes);
        check::check::<ToHost>(&bytes);
    }

    #[test]
    fn a_damaged_byte_is_safe(
        frames in frames(to_host(), TO_HOST), at in any::<prop::sample::Index>(), flip in 1_u8..,
    ) {
        let mut bytes = check::encode(&frames);
        prop_assume!(!bytes.is_empty());
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        check::check::<ToHost>(&bytes);
    }

    /// Two honest ends: nobody ever sees a violation, no more than a window is
    /// held, and the sender never stalls once everything has been consumed.
    #[test]
    fn honest_ends_never_stall(steps in vec((0_usize..200_000, 0_usize..200_000), 1..60)) {
        let (mut send, mut receive) = (SendWindow::new(), ReceiveWindow::new());
        let mut held = 0;
        for (offered, read) in steps {
            let sent = send.take(offered);
            receive.received(sent)?;
            held += sent;
            prop_assert!(held <= WINDOW as usize);
            let read = read.min(held);
            held -= read;
            if let Some(credit) = receive.consumed(read) {
                send.credit(credit)?;
            }
            prop_assert!(held > 0 || send.available() > 0);
        }
    }

    /// Hostile credit neither overflows nor opens the window beyond its size.
    #[test]
    fn a_window_never_opens_too_far(steps in vec((any::<usize>(), any::<u32>()), 1..60)) {
        let mut send = SendWindow::new();
        for (wanted, credit) in steps {
            let before = send.available();
            let taken = send.take(wanted);
            prop_assert_eq!(send.available(), before - taken);
            let _ = send.credit(credit);
            prop_assert!(send.available() <= WINDOW as usize);
        }
    }

    /// A hostile sender cannot make the receiver hold more than a window.
    #[test]
    fn a_receiver_holds_at_most_a_window(steps in vec((any::<u32>(), any::<usize>()), 1..60)) {
        let mut receive = ReceiveWindow::new();
        let mut held = 0;
        for (sent, read) in steps {
            let sent = (sent >> 14) as usize;
            if receive.received(sent).is_err() {
                break;
            }
            held += sent;
            prop_assert!(held <= WINDOW as usize);
            let read = read.min(held);
            held -= read;
            let _ = receive.consumed(read);
        }
    }
}
