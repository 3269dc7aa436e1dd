//! Filters are run by a small machine of classic BPF, as far as seccomp uses it.

use oci_spec::runtime::LinuxSeccomp;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const ALLOW: u32 = 0x7fff_0000;
const KILL: u32 = 0;
const ERRNO: u32 = 0x0005_0000;

/// A system call.
struct Call {
    arch: u32,
    number: u32,
    arguments: [u64; ARGUMENTS],
}

impl Call {
    fn of(arch: Arch, number: u32) -> Call {
        Call { arch: arch as u32, number, arguments: [0; ARGUMENTS] }
    }

    /// One of the guest's own architecture.
    fn named(name: &str, arguments: [u64; ARGUMENTS]) -> Call {
        let number = ScmpSyscall::from_name(name).unwrap().as_raw_syscall();
        Call { arguments, ..Call::of(NATIVE, number.try_into().unwrap()) }
    }

    /// A word of `struct seccomp_data`, on a little endian machine.
    fn word(&self, offset: u32) -> u32 {
        let argument = |at: u32| self.arguments[(at / 8) as usize] >> (at % 8 * 8);
        match offset {
            0 => self.number,
            4 => self.arch,
            8 | 12 => 0,
            _ => argument(offset - 16) as u32,
        }
    }
}

/// What a filter says of a call.
fn run(filter: &Filter, call: &Call) -> u32 {
    let (mut at, mut a) = (0, 0);
    loop {
        let Instruction { code, jt, jf, k } = filter.program[at];
        at += 1;
        let jump = |yes: bool| usize::from(if yes { jt } else { jf });
        match code {
            0x20 => a = call.word(k),
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => at += jump(a == k),
            0x25 => at += jump(a > k),
            0x35 => at += jump(a >= k),
            0x45 => at += jump(a & k != 0),
            0x06 => return k,
            _ => panic!("instruction {code:#x} at {at}"),
        }
    }
}

fn compiled(rules: Value) -> Result<Filter> {
    compile(&serde_json::from_value::<LinuxSeccomp>(rules).unwrap())
}

fn words(rules: Value) -> String {
    compiled(rules).unwrap_err().to_string()
}

#[test]
fn actions_are_the_kernels() {
    for (action, number, value) in [
        ("SCMP_ACT_KILL", None, KILL),
        ("SCMP_ACT_KILL_THREAD", None, KILL),
        ("SCMP_ACT_KILL_PROCESS", None, 0x8000_0000),
        ("SCMP_ACT_TRAP", None, 0x0003_0000),
        ("SCMP_ACT_ERRNO", None, ERRNO | 1),
        ("SCMP_ACT_ERRNO", Some(0), ERRNO),
        ("SCMP_ACT_ERRNO", Some(4094), ERRNO | 4094),
        ("SCMP_ACT_TRACE", Some(7), 0x7ff0_0007),
        ("SCMP_ACT_LOG", None, 0x7ffc_0000),
    ] {
        let rule = json!({"names": ["mkdirat"], "action": action, "errnoRet": number});
        let filter =
            compiled(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})).unwrap();
        assert_eq!(run(&filter, &Call::named("mkdirat", [0; 6])), value, "{action} {number:?}");
        assert_eq!(run(&filter, &Call::named("read", [0; 6])), ALLOW, "{action}");
    }
}

#[test]
fn a_mask_is_the_first_value() {
    let argument = json!({"index": 0, "value": 0xf0, "valueTwo": 0x30, "op": "SCMP_CMP_MASKED_EQ"});
    let rule = json!({"names": ["unshare"], "action": "SCMP_ACT_ERRNO", "args": [argument]});
    let filter = compiled(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})).unwrap();
    for (value, expected) in [(0x30, ERRNO | 1), (0xf3f, ERRNO | 1), (0x70, ALLOW), (0, ALLOW)] {
        assert_eq!(run(&filter, &Call::named("unshare", [value, 0, 0, 0, 0, 0])), expected);
    }
}

#[test]
fn strangers_are_left_out_and_repetitions_too() {
    let filter = compiled(json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {"names": ["no_such_call", "mkdirat"], "action": "SCMP_ACT_ERRNO"},
            {"names": ["read"], "action": "SCMP_ACT_ALLOW"},
        ],
    }))
    .unwrap();
    assert_eq!(run(&filter, &Call::named("mkdirat", [0; 6])), ERRNO | 1);
}

#[test]
fn what_a_guest_cannot_do_is_refused_by_name() {
    let rule = |rule: Value| words(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}));
    let notify = rule(json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"}));
    assert!(notify.contains("SCMP_ACT_NOTIFY is not supported"), "{notify}");
    let errno = rule(json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4095}));
    assert!(errno.contains("error number 4095"), "{errno}");
    let argument = json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"});
    let index = rule(json!({"names": ["read"], "action": "SCMP_ACT_LOG", "args": [argument]}));
    assert!(index.contains("index 6"), "{index}");
    assert!(words(json!({"defaultAction": "SCMP_ACT_NOTIFY"})).contains("SCMP_ACT_NOTIFY"));
    let flag = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV";
    assert!(words(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]})).contains(flag));
    let listener = words(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x"}));
    assert!(listener.contains("listenerPath"), "{listener}");
}

#[test]
fn flags_are_the_kernels() {
    let of = |flags: Value| {
        compiled(json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags})).unwrap().flags
    };
    assert_eq!(of(Value::Null), SPEC_ALLOW);
    assert_eq!(of(json!([])), 0);
    assert_eq!(of(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC"])), LOG);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn programs_of_other_architectures_are_judged_or_killed() {
    let with = |architectures: Value| {
        compiled(json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": architectures,
            "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO"}],
        }))
        .unwrap()
    };
    // mkdir(2) is 39 there, and 83 here.
    let old = |number| Call::of(Arch::ScmpArchX86, number);
    let native = with(Value::Null);
    assert_eq!(run(&native, &Call::named("mkdir", [0; 6])), ERRNO | 1);
    assert_eq!(run(&native, &old(39)), KILL);
    let both = with(json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_S390X"]));
    assert_eq!(run(&both, &old(39)), ERRNO | 1);
    assert_eq!(run(&both, &old(83)), ALLOW);
    assert_eq!(run(&both, &Call::of(Arch::ScmpArchS390x, 39)), KILL);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn calls_that_are_newer_than_the_profile_do_not_exist() {
    let with = |default: Value| {
        let mut rules = json!({
            "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
            "syscalls": [{"names": ["read", "mkdirat"], "action": "SCMP_ACT_LOG"}],
        });
        rules.as_object_mut().unwrap().append(&mut default.as_object().unwrap().clone());
        compiled(rules).unwrap()
    };
    let missing = ERRNO | libc::ENOSYS as u32;
    // mkdirat(2) is 258 here and 296 on x86.
    let calls = [(NATIVE, 257), (NATIVE, 259), (Arch::ScmpArchX86, 295), (Arch::ScmpArchX86, 297)];
    let of = |default| {
        let filter = with(default);
        calls.map(|(arch, number)| run(&filter, &Call::of(arch, number)))
    };
    let denied = ERRNO | 1;
    assert_eq!(of(json!({"defaultAction": "SCMP_ACT_ERRNO"})), [denied, missing, denied, missing]);
    assert_eq!(of(json!({"defaultAction": "SCMP_ACT_KILL"})), [KILL, missing, KILL, missing]);
    assert_eq!(of(json!({"defaultAction": "SCMP_ACT_ALLOW"})), [ALLOW; 4]);
    let enosys = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": libc::ENOSYS});
    assert_eq!(of(enosys), [missing; 4]);
    let negative = Call::of(NATIVE, u32::MAX);
    assert_eq!(run(&with(json!({"defaultAction": "SCMP_ACT_ERRNO"})), &negative), denied);
    let other = Call::of(Arch::ScmpArchAarch64, 500);
    assert_eq!(run(&with(json!({"defaultAction": "SCMP_ACT_ERRNO"})), &other), KILL);
}

/// A comparison, and what it means.
fn argument() -> impl Strategy<Value = (usize, LinuxSeccompOperator, u64, u64)> {
    let edges = prop_oneof![any::<u64>(), 0_u64..4, Just(1 << 32), Just(u64::from(u32::MAX))];
    (0..3_usize, prop::sample::select(&OPERATORS[..]), edges.clone(), edges)
}

fn holds(
    (index, operator, value, second): (usize, LinuxSeccompOperator, u64, u64),
    call: &Call,
) -> bool {
    let argument = call.arguments[index];
    match operator {
        LinuxSeccompOperator::ScmpCmpNe => argument != value,
        LinuxSeccompOperator::ScmpCmpLt => argument < value,
        LinuxSeccompOperator::ScmpCmpLe => argument <= value,
        LinuxSeccompOperator::ScmpCmpEq => argument == value,
        LinuxSeccompOperator::ScmpCmpGe => argument >= value,
        LinuxSeccompOperator::ScmpCmpGt => argument > value,
        LinuxSeccompOperator::ScmpCmpMaskedEq => argument & value == second & value,
    }
}

proptest! {
    /// One rule, whose comparisons are all to hold, each of an argument of its own.
    #[test]
    fn a_rule_holds_as_it_is_written(
        arguments in vec(argument(), 0..4),
        values in prop::array::uniform3(prop_oneof![any::<u64>(), 0_u64..4, Just(1_u64 << 32)]),
    ) {
        let mut indices = BTreeSet::new();
        let own: Vec<_> = arguments.into_iter().filter(|(index, ..)| indices.insert(*index)).collect();
        let args: Vec<_> = own
            .iter()
            .map(|(index, op, value, two)| {
                json!({"index": index, "op": op, "value": value, "valueTwo": two})
            })
            .collect();
        let rule = json!({"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "args": args});
        let filter =
            compiled(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})).unwrap();
        let call = Call::named("mkdirat", [values[0], values[1], values[2], 0, 0, 0]);
        let expected = own.iter().all(|one| holds(*one, &call));
        prop_assert_eq!(run(&filter, &call) == ERRNO | 1, expected);
        prop_assert_eq!(run(&filter, &Call::named("read", call.arguments)), ALLOW);
    }

    /// Comparisons of the same argument are rules of their own. libseccomp 2.5.4 misjudges two
    /// that are both by order.
    #[test]
    fn several_words_on_an_argument_are_several_rules(
        one in argument(), two in argument(), equal in any::<bool>(),
        values in prop::array::uniform3(0_u64..4),
    ) {
        prop_assume!(one.1 != LinuxSeccompOperator::ScmpCmpMaskedEq);
        let exact = if equal {
            LinuxSeccompOperator::ScmpCmpEq
        } else {
            LinuxSeccompOperator::ScmpCmpNe
        };
        let (one, two) = ((0, one.1, one.2, one.3), (0, exact, two.2, two.3));
        let args = [one, two].map(|(index, op, value, second)| {
            json!({"index": index, "op": op, "value": value, "valueTwo": second})
        });
        let rule = json!({"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "args": args});
        let filter =
            compiled(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})).unwrap();
        let call = Call::named("mkdirat", [values[0], values[1], values[2], 0, 0, 0]);
        let expected = holds(one, &call) || holds(two, &call);
        prop_assert_eq!(run(&filter, &call) == ERRNO | 1, expected);
    }
}
