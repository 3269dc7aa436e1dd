//! What the emulator does wrong, and how to know it when it happens.
//!
//! QEMU's software emulation of SVM sometimes mixes up the two worlds at a world
//! switch of a PVH guest: about one boot in twenty-five, mostly among the exits by
//! RDTSC and IN of the kernel's early clocks. A trace of the exits shows Xen's own
//! first instruction after VMRUN fetched through the *guest's* nested tables (exit
//! 0x400 at Xen's address); the guest's saved CS:RIP is then Xen's, which no guest
//! and no toolstack can bring about. A few triple faults have the guest's own
//! address; that they have the same cause is likely and not shown.
//!
//! Such a run says nothing about what is tested, as if the power had failed.
//! Xen tells of it on its console, and only then a command is run once more.

use std::fs;
use std::path::Path;

use crate::command::Output;
use crate::logs;

/// How often something is tried at most: three faults in a row are one in 15 000.
const TRIES: usize = 3;

/// What `attempt` gives. When Xen's console in `logs` proves that the emulator has
/// reset a guest meanwhile, and the result may be due to it, it is tried again.
pub fn despite_resets<T>(
    logs: &Path,
    mut attempt: impl FnMut() -> T,
    due_to_it: impl Fn(&T) -> bool,
) -> T {
    for _ in 1..TRIES {
        let before = triple_faults(logs);
        let result = attempt();
        if !due_to_it(&result) || triple_faults(logs) == before {
            return result;
        }
        eprintln!("testbed: the emulator lost a guest (docs/testbed.md), once more");
    }
    attempt()
}

/// How many guests of the run with these logs have ended in a triple fault.
fn triple_faults(logs: &Path) -> usize {
    let console = fs::read(logs.join(logs::XEN_AND_DOM0)).unwrap_or_default();
    String::from_utf8_lossy(&console).matches("Triple fault - invoking HVM shutdown").count()
}

/// Whether `output` is that of vxn when its DomU was reset under it.
pub fn tells_of_reset(output: &Output) -> bool {
    output.code == 125 && output.error_text().contains("the DomU went down by itself (reboot)")
}
