//! What a container takes of the host: counted by Xen and by Dom0's backends, so a
//! guest has no say in it.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::libxl::{self, Ctx, DomId};

/// Where Dom0's kernel shows its devices.
const SYS: &str = "/sys";
/// A sector of the block backend's counters, in bytes.
const SECTOR: u64 = 512;

/// What a DomU has taken since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostUsage {
    /// The DomU.
    pub domid: DomId,
    /// When this was read.
    pub at: Instant,
    /// CPU time of all its virtual CPUs.
    pub cpu: Duration,
    /// Bytes that came and went by its vifs and vbds.
    pub traffic: Traffic,
}

/// Bytes, as the guest sees them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Received from the network.
    pub received: u64,
    /// Sent to the network.
    pub sent: u64,
    /// Read from disks.
    pub read: u64,
    /// Written to disks.
    pub written: u64,
}

impl HostUsage {
    /// Reads the counters of a DomU; `None` when it is gone.
    ///
    /// # Errors
    /// libxl's.
    pub fn read(ctx: &Ctx, domid: DomId) -> libxl::Result<Option<HostUsage>> {
        let Some(info) = ctx.info(domid)? else { return Ok(None) };
        let cpu = Duration::from_nanos(info.cpu_time_ns);
        let traffic = traffic(Path::new(SYS), domid);
        Ok(Some(HostUsage { domid, at: Instant::now(), cpu, traffic }))
    }

    /// CPU time since `earlier`, in percent of one CPU.
    pub fn cpu_percent(&self, earlier: &HostUsage) -> f64 {
        let time = self.at.saturating_duration_since(earlier.at).as_secs_f64();
        let cpu = self.cpu.saturating_sub(earlier.cpu).as_secs_f64();
        if time > 0.0 { 100.0 * cpu / time } else { 0.0 }
    }
}

/// A device that goes meanwhile counts nothing.
fn traffic(sys: &Path, domid: DomId) -> Traffic {
    let mut traffic = Traffic::default();
    let count = |dir: &Path, name: &str| -> u64 {
        let text = fs::read_to_string(dir.join("statistics").join(name));
        text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
    };
    each(&sys.join("class/net"), &format!("vif{domid}."), |vif| {
        // What the backend receives, the guest has sent.
        traffic.sent += count(vif, "rx_bytes");
        traffic.received += count(vif, "tx_bytes");
    });
    each(&sys.join("bus/xen-backend/devices"), &format!("vbd-{domid}-"), |vbd| {
        traffic.read += SECTOR * count(vbd, "rd_sect");
        traffic.written += SECTOR * count(vbd, "wr_sect");
    });
    traffic
}

/// The entries of `dir` whose names are `prefix` and a number.
fn each(dir: &Path, prefix: &str, mut found: impl FnMut(&Path)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        if number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())) {
            found(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_of_all_devices_of_one_domain_are_added_up() {
        let sys = tempfile::tempdir().unwrap();
        let put = |file: &str, number: u64| {
            let path = sys.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, format!("{number}\n")).unwrap();
        };
        for (vif, rx, tx) in [("vif3.0", 10, 1), ("vif3.1", 20, 2), ("vif31.0", 400, 4)] {
            put(&format!("class/net/{vif}/statistics/rx_bytes"), rx);
            put(&format!("class/net/{vif}/statistics/tx_bytes"), tx);
        }
        put("class/net/vif3.0-emu/statistics/rx_bytes", 1000);
        for (vbd, read, written) in [("vbd-3-51712", 8, 0), ("vbd-3-51728", 2, 3)] {
            put(&format!("bus/xen-backend/devices/{vbd}/statistics/rd_sect"), read);
            put(&format!("bus/xen-backend/devices/{vbd}/statistics/wr_sect"), written);
        }
        let expected = Traffic { received: 3, sent: 30, read: 5120, written: 1536 };
        assert_eq!(traffic(sys.path(), DomId(3)), expected);
        assert_eq!(traffic(sys.path(), DomId(4)), Traffic::default());
    }

    #[test]
    fn cpu_time_is_told_in_percent_of_a_cpu() {
        let at = Instant::now();
        let usage = |at, cpu| HostUsage {
            domid: DomId(3),
            at,
            cpu: Duration::from_millis(cpu),
            traffic: Traffic::default(),
        };
        let later = at + Duration::from_secs(2);
        let percent = |a: HostUsage, b: HostUsage| b.cpu_percent(&a).round();
        assert_eq!(percent(usage(at, 100), usage(later, 3100)), 150.0);
        assert_eq!(percent(usage(at, 100), usage(at, 200)), 0.0);
        assert_eq!(percent(usage(at, 100), usage(later, 0)), 0.0);
    }
}
