//! A guest of a few bytes: it boots as PV and as PVH, in no time, and does one
//! hypercall.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use vxn::libxl::{Action, Ctx, DomId, DomainConfig, GuestType, Scheduling, Uuid};

pub const BOTH: [GuestType; 2] = [GuestType::Pv, GuestType::Pvh];

/// What the guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Does {
    /// Waits for events that never come (`SCHEDOP_block`).
    Nothing,
    /// `SCHEDOP_shutdown` with a reason of `xen/include/public/sched.h`.
    Shutdown(u8),
}

/// A domain of 16 MiB that is destroyed when this is dropped.
pub struct Guest<'a> {
    ctx: &'a Ctx,
    pub id: DomId,
}

impl<'a> Guest<'a> {
    pub fn new(ctx: &'a Ctx, config: &DomainConfig) -> Guest<'a> {
        Guest { ctx, id: ctx.create_paused(config).expect("a domain") }
    }

    pub fn paused(ctx: &'a Ctx, guest_type: GuestType, does: Does) -> Guest<'a> {
        Guest::new(ctx, &config(guest_type, does))
    }

    pub fn running(ctx: &'a Ctx, guest_type: GuestType, does: Does) -> Guest<'a> {
        let guest = Guest::paused(ctx, guest_type, does);
        ctx.unpause(guest.id).expect("it can run");
        guest
    }
}

impl Drop for Guest<'_> {
    fn drop(&mut self) {
        self.ctx.destroy(self.id).expect("it can be destroyed");
    }
}

/// What the domain is made from, with a name of its own.
pub fn config(guest_type: GuestType, does: Does) -> DomainConfig {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    DomainConfig {
        name: format!("tiny-{}-{number}", std::process::id()),
        uuid: Uuid::random(),
        guest_type,
        memory_kib: 16 << 10,
        vcpus: 1,
        scheduling: Scheduling::default(),
        kernel: kernel(does),
        ramdisk: None,
        cmdline: String::new(),
        disks: Vec::new(),
        nics: Vec::new(),
        shares: None,
        xsdata: Vec::new(),
        on_poweroff: Action::Destroy,
        on_reboot: Action::Destroy,
        on_crash: Action::Destroy,
    }
}

fn kernel(does: Does) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = format!("/tmp/tiny-{}-{number}.elf", std::process::id());
    fs::write(&path, elf(does)).expect("room in /tmp");
    path.into()
}

/// Where the guest's physical memory begins for a PV guest's eyes.
const VIRT_BASE: u64 = 0xffff_ffff_8000_0000;
const LOAD_AT: u64 = 0x10_0000;
const HEADERS: u64 = 64 + 2 * 56;

/// An ELF64 file: headers, code, data, notes. All of it is loaded.
fn elf(does: Does) -> Vec<u8> {
    let (operation, reason) = match does {
        Does::Nothing => (1, 0),
        Does::Shutdown(reason) => (2, reason),
    };
    // `struct sched_shutdown` comes first.
    let argument = LOAD_AT + HEADERS;
    let mut body = vec![reason, 0, 0, 0];
    let pv_entry = LOAD_AT + HEADERS + body.len() as u64;
    body.extend(pv_code(operation, VIRT_BASE + argument));
    let pvh_entry = LOAD_AT + HEADERS + body.len() as u64;
    body.extend(pvh_code(operation, argument as u32));
    body.resize(body.len().next_multiple_of(4), 0);

    let notes_at = HEADERS + body.len() as u64;
    let notes = notes(VIRT_BASE + pv_entry, pvh_entry as u32);
    let size = notes_at + notes.len() as u64;
    let mut file = elf_header(VIRT_BASE + pv_entry);
    file.extend(program_header(1, 7, 0, size, 4096)); // PT_LOAD
    file.extend(program_header(4, 4, notes_at, notes.len() as u64, 4)); // PT_NOTE
    file.extend(body);
    file.extend(notes);
    file
}

/// `sched_op(operation, argument)` again and again, 64 bits, by `syscall`.
fn pv_code(operation: u32, argument: u64) -> Vec<u8> {
    let mut code = vec![0xb8, 29, 0, 0, 0, 0xbf]; // mov eax, 29; mov edi,
    code.extend(operation.to_le_bytes());
    code.extend([0x48, 0xbe]); // mov rsi,
    code.extend(argument.to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xeb, 0u8.wrapping_sub(code.len() as u8 + 2)]); // jmp to the start
    code
}

/// The same in 32 bits by `vmmcall`: the testbed's CPU is one of AMD's.
fn pvh_code(operation: u32, argument: u32) -> Vec<u8> {
    let mut code = vec![0xb8, 29, 0, 0, 0, 0xbb]; // mov eax, 29; mov ebx,
    code.extend(operation.to_le_bytes());
    code.push(0xb9); // mov ecx,
    code.extend(argument.to_le_bytes());
    code.extend([0x0f, 0x01, 0xd9]); // vmmcall
    code.extend([0xeb, 0u8.wrapping_sub(code.len() as u8 + 2)]); // jmp to the start
    code
}

fn elf_header(entry: u64) -> Vec<u8> {
    let mut h = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    h.extend(2u16.to_le_bytes()); // ET_EXEC
    h.extend(62u16.to_le_bytes()); // EM_X86_64
    h.extend(1u32.to_le_bytes());
    h.extend(entry.to_le_bytes());
    h.extend(64u64.to_le_bytes()); // program headers follow at once
    h.extend(0u64.to_le_bytes()); // no sections
    h.extend(0u32.to_le_bytes());
    for half in [64u16, 56, 2, 64, 0, 0] {
        h.extend(half.to_le_bytes());
    }
    h
}

fn program_header(kind: u32, flags: u32, offset: u64, size: u64, align: u64) -> Vec<u8> {
    let mut h = kind.to_le_bytes().to_vec();
    h.extend(flags.to_le_bytes());
    let physical = LOAD_AT + offset;
    for word in [offset, VIRT_BASE + physical, physical, size, size, align] {
        h.extend(word.to_le_bytes());
    }
    h
}

/// See `xen/include/public/elfnote.h`.
fn notes(pv_entry: u64, pvh_entry: u32) -> Vec<u8> {
    [
        note(6, b"Linux\0"),   // GUEST_OS
        note(5, b"xen-3.0\0"), // XEN_VERSION
        note(8, b"generic\0"), // LOADER
        note(3, &VIRT_BASE.to_le_bytes()),
        note(4, &0u64.to_le_bytes()), // PADDR_OFFSET
        note(1, &pv_entry.to_le_bytes()),
        note(18, &pvh_entry.to_le_bytes()), // PHYS32_ENTRY
    ]
    .concat()
}

fn note(kind: u32, value: &[u8]) -> Vec<u8> {
    let mut n = 4u32.to_le_bytes().to_vec();
    n.extend((value.len() as u32).to_le_bytes());
    n.extend(kind.to_le_bytes());
    n.extend(b"Xen\0");
    n.extend(value);
    n.resize(n.len().next_multiple_of(4), 0);
    n
}
