//! Whether the kernel had to kill for want of memory. The guest runs nothing but
//! the container, so whoever was killed was one of its processes.

use std::fs;

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
