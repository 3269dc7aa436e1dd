//! When memory runs out. The guest runs nothing but the container, so whoever the
//! kernel kills is one of its processes.

use std::{fs, path::Path};

/// A working set that was used within this time is kept, or the kernel kills.
const WORKING_SET_MS: &str = "1000";

/// Has the kernel kill in time (multi-generational LRU, Linux 6.1 and later). A guest
/// has no swap: one whose memory is full of data evicts the very programs that run,
/// and reads them from the disk again and again, for minutes.
pub fn kill_rather_than_thrash() {
    for (file, value) in [("enabled", "y"), ("min_ttl_ms", WORKING_SET_MS)] {
        // Where the kernel has no such thing, it kills later.
        let _ = fs::write(Path::new("/sys/kernel/mm/lru_gen").join(file), value);
    }
}

/// What the kernel had counted when the container came to be.
#[derive(Debug)]
pub struct OomKills {
    before: u64,
}

impl OomKills {
    /// Counts from here on.
    pub fn watch() -> Self {
        Self { before: count() }
    }

    /// Whether there was one since.
    pub fn any(&self) -> bool {
        count() > self.before
    }
}

/// All since the boot; none for a kernel that does not count them.
fn count() -> u64 {
    parse(&fs::read_to_string("/proc/vmstat").unwrap_or_default())
}

fn parse(vmstat: &str) -> u64 {
    let line = vmstat.lines().find_map(|line| line.strip_prefix("oom_kill "));
    line.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_count_is_found() {
        assert_eq!(parse("nr_free 5\noom_kill 3\noom_kill_other 9\n"), 3);
        assert_eq!(parse("nr_free 5\n"), 0);
    }
}
