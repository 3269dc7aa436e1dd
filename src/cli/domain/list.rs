//! `vxn domain list`: what `xl list` shows.

use std::fmt::Write as _;

use crate::libxl::{DomainInfo, ShutdownReason};

/// The table of `xl list`, to the column.
pub fn table(domains: &[DomainInfo]) -> String {
    let mut table =
        "Name                                        ID   Mem VCPUs\tState\tTime(s)\n".to_owned();
    for domain in domains {
        let name = domain.name.as_deref().unwrap_or("(null)");
        let seconds = domain.cpu_time_ns as f64 / 1e9;
        // Writing to a String does not fail.
        let _ = writeln!(
            table,
            "{name:<40} {:>5} {:>5} {:>5}     {}  {seconds:>8.1}",
            domain.domid.0,
            domain.memory_kib / 1024,
            domain.vcpus,
            state(domain),
        );
    }
    table
}

/// Six places: running, blocked, paused, shut down and why, dying.
fn state(domain: &DomainInfo) -> String {
    let state = &domain.state;
    let place = |is: bool, letter: char| if is { letter } else { '-' };
    let reason = match domain.shutdown_reason.filter(|_| state.shutdown) {
        None | Some(ShutdownReason::PowerOff) => '-',
        Some(ShutdownReason::Reboot) => 'r',
        Some(ShutdownReason::Suspend) => 's',
        Some(ShutdownReason::Crash) => 'c',
        Some(ShutdownReason::Watchdog) => 'w',
        Some(ShutdownReason::SoftReset) => 'S',
        Some(ShutdownReason::Unknown(_)) => '?',
    };
    [
        place(state.running, 'r'),
        place(state.blocked, 'b'),
        place(state.paused, 'p'),
        place(state.shutdown, 's'),
        reason,
        place(state.dying, 'd'),
    ]
    .into_iter()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libxl::{DomId, DomainState, Uuid};

    #[test]
    fn columns_are_those_of_xl() {
        let mut domain = DomainInfo {
            domid: DomId(3),
            uuid: Uuid([0; 16]),
            name: Some("web".to_owned()),
            guest_type: None,
            state: DomainState { blocked: true, ..DomainState::default() },
            shutdown_reason: None,
            memory_kib: 262_144,
            max_memory_kib: 262_144,
            vcpus: 2,
            cpu_time_ns: 1_540_000_000,
        };
        let line = |domain: &DomainInfo| {
            table(std::slice::from_ref(domain)).lines().nth(1).unwrap().to_owned()
        };
        assert_eq!(
            line(&domain),
            "web                                          3   256     2     -b----       1.5"
        );
        domain.state = DomainState { shutdown: true, ..DomainState::default() };
        domain.shutdown_reason = Some(ShutdownReason::Crash);
        assert!(line(&domain).contains(" ---sc- "), "{}", line(&domain));
    }
}
