//! A line of `vxn stats`: docker's fields in docker's words.

use serde::Serialize;
use vxn_proto::Usage;

use crate::cli::format::{binary_bytes, bytes};
use crate::container::definition::Definition;
use crate::container::usage::HostUsage;

/// What is not known, in docker's sign for it.
const UNKNOWN: &str = "--";

/// What was found out about a container.
#[derive(Debug, Clone, Copy)]
pub enum Reading {
    /// It has no DomU.
    Ended,
    /// It has one.
    Lives {
        /// Now.
        host: HostUsage,
        /// At the last look, if it was there.
        before: Option<HostUsage>,
        /// What the guest says, which may be anything.
        guest: Option<Usage>,
    },
}

/// A line, with docker's names for its fields.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Row {
    container: String,
    #[serde(rename = "ID")]
    id: String,
    name: String,
    #[serde(rename = "CPUPerc")]
    cpu_perc: String,
    mem_usage: String,
    mem_perc: String,
    #[serde(rename = "NetIO")]
    net_io: String,
    #[serde(rename = "BlockIO")]
    block_io: String,
    #[serde(rename = "PIDs")]
    pids: String,
}

impl Row {
    /// The headings of [`Row::cells`].
    pub const HEADER: [&'static str; 8] = [
        "CONTAINER ID",
        "NAME",
        "CPU %",
        "MEM USAGE / LIMIT",
        "MEM %",
        "NET I/O",
        "BLOCK I/O",
        "PIDS",
    ];

    /// The line of a container.
    pub fn new(definition: &Definition, reading: Reading, whole: bool) -> Row {
        let id = &definition.id;
        let id = if whole { id.to_string() } else { id.short().to_owned() };
        let pair = |a: String, b: String| format!("{a} / {b}");
        let memory = |usage: Usage| {
            let Usage { memory_used: used, memory_total: total, .. } = usage;
            let part = if total > 0 { 100.0 * used as f64 / total as f64 } else { 0.0 };
            (pair(binary_bytes(used), binary_bytes(total)), format!("{part:.2}%"))
        };
        let unknown = || UNKNOWN.to_owned();
        let (cpu_perc, usage, traffic) = match reading {
            Reading::Ended => ("0.00%".to_owned(), Some(Usage::default()), Default::default()),
            Reading::Lives { host, before, guest } => {
                let cpu = before.map(|before| format!("{:.2}%", host.cpu_percent(&before)));
                (cpu.unwrap_or_else(unknown), guest, host.traffic)
            }
        };
        let (mem_usage, mem_perc) = usage.map_or((pair(unknown(), unknown()), unknown()), memory);
        Row {
            container: id.clone(),
            id,
            name: definition.name.to_string(),
            cpu_perc,
            mem_usage,
            mem_perc,
            net_io: pair(bytes(traffic.received), bytes(traffic.sent)),
            block_io: pair(bytes(traffic.read), bytes(traffic.written)),
            pids: usage.map_or_else(unknown, |usage| usage.tasks.to_string()),
        }
    }

    /// The cells of the table.
    pub fn cells(&self) -> Vec<String> {
        let Row { id, name, cpu_perc, mem_usage, mem_perc, net_io, block_io, pids, .. } = self;
        [id, name, cpu_perc, mem_usage, mem_perc, net_io, block_io, pids].map(Clone::clone).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::container::definition::tests::definition;
    use crate::container::usage::Traffic;
    use crate::libxl::DomId;

    fn cells(reading: Reading) -> String {
        Row::new(&definition("web"), reading, false).cells()[1..].join("|")
    }

    #[test]
    fn a_line_is_in_dockers_words() {
        let at = Instant::now();
        let traffic = Traffic { received: 1_500, sent: 20, read: 4_260_000, written: 0 };
        let earlier = HostUsage { domid: DomId(3), at, cpu: Duration::ZERO, traffic };
        let host = HostUsage {
            domid: DomId(3),
            at: at + Duration::from_secs(1),
            cpu: Duration::from_millis(5),
            traffic,
        };
        let usage = Usage { memory_used: 16 << 20, memory_total: 128 << 20, tasks: 3 };
        let lives = |before, guest| cells(Reading::Lives { host, before, guest });
        assert_eq!(
            lives(Some(earlier), Some(usage)),
            "web|0.50%|16MiB / 128MiB|12.50%|1.5kB / 20B|4.26MB / 0B|3"
        );
        assert_eq!(lives(None, None), "web|--|-- / --|--|1.5kB / 20B|4.26MB / 0B|--");
        assert_eq!(cells(Reading::Ended), "web|0.00%|0B / 0B|0.00%|0B / 0B|0B / 0B|0");
    }

    #[test]
    fn a_guest_may_say_anything() {
        let host = HostUsage {
            domid: DomId(3),
            at: Instant::now(),
            cpu: Duration::MAX,
            traffic: Traffic::default(),
        };
        for (used, total) in [(u64::MAX, 0), (0, u64::MAX), (u64::MAX, 1)] {
            let guest = Usage { memory_used: used, memory_total: total, tasks: u64::MAX };
            cells(Reading::Lives { host, before: Some(host), guest: Some(guest) });
        }
    }
}
