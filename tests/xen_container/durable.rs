//! What was synced is there after a crash, and what a container makes of Dom0's files
//! is Dom0's.

use std::collections::BTreeMap;

use crate::{Host, WORKSHOP, host};

/// A row in three places after another: a volume, a directory of Dom0's and the
/// container's own disk. What is told was committed: SQLite has synced the row, and by `extra`
/// the directory of the journal that it has removed, without which a power cut undoes it. At
/// each start it tells what is there.
const ROWS: &str = "
    mkdir -p /own; i=0
    for d in /volume /bind /own; do
        sqlite3 $d/db 'create table if not exists t (n integer)' || exit
        n=$(sqlite3 $d/db 'pragma integrity_check; select coalesce(max(n), 0) from t') || exit
        set -- $n; echo found $d $1 $2
        [ $2 -gt $i ] && i=$2
    done
    while :; do
        i=$((i + 1))
        for d in /volume /bind /own; do
            sqlite3 $d/db \"pragma synchronous=extra; insert into t values ($i)\" || exit
            echo row $d $i
        done
    done";

impl Host {
    /// Waits until each place has got more rows than the last life has told of.
    #[track_caller]
    fn wait_for_rows(&self, told: u64) {
        self.wait_for("db", &format!("row /own {}\n", told + 2));
    }

    /// The last row of each place that the container has told of. What it found at a
    /// start has to be all that it had told of before.
    fn rows(&self) -> BTreeMap<String, u64> {
        let log = self.ok(["logs", "db"]);
        let mut rows = BTreeMap::from(["/volume", "/bind", "/own"].map(|d| (d.to_owned(), 0)));
        for line in log.lines() {
            match line.split(' ').collect::<Vec<_>>()[..] {
                ["row", place, row] => *rows.get_mut(place).unwrap() = row.parse().unwrap(),
                ["found", place, "ok", row] => {
                    let (found, told): (u64, u64) = (row.parse().unwrap(), rows[place]);
                    assert!(found >= told, "{place}: {told} rows were told of, {found} are there");
                }
                _ => panic!("{line:?} in {log}"),
            }
        }
        rows
    }
}

#[test]
fn what_sqlite_has_committed_outlives_every_crash() {
    let Some(host) = host() else { return };
    let shares = ["-v", "rows:/volume", "-v", "/srv/rows:/bind"];
    let run = host.vxn(["run", "-d", "-m", "160M", "--network", "none", "--name", "db"]);
    let run = run.args(shares).args([WORKSHOP, "busybox", "sh", "-c", ROWS]);
    run.run().unwrap().success().unwrap();
    host.wait_for_rows(0);
    for crash in [
        // The monitor, and the DomU with the next command.
        "kill -KILL $(vxn inspect --format '{{.State.Pid}}' db)",
        // A power cut of the DomU.
        "vxn domain destroy db",
        "vxn kill db",
    ] {
        host.dom0.shell(crash).unwrap().success().unwrap();
        host.ok(["wait", "db"]);
        let told = host.rows()["/own"];
        host.ok(["start", "db"]);
        host.wait_for_rows(told);
    }
    host.ok(["kill", "db"]);
    host.rows();
    host.ok(["rm", "db"]);
    host.ok(["volume", "rm", "rows"]);
    host.dom0.shell("rm -r /srv/rows").unwrap().success().unwrap();
    host.clean([]);
}

#[test]
fn a_tree_of_dom0s_is_compiled_in_the_guest() {
    let Some(host) = host() else { return };
    let tree = "mkdir -p /srv/tree/include && cd /srv/tree && \
        echo 'const char *word(void);' >include/word.h && \
        printf '#include <word.h>\\nconst char *word(void) { return \"compiled\"; }\\n' >word.c && \
        printf '#include <stdio.h>\\n#include <word.h>\\n' >main.c && \
        echo 'int main(void) { puts(word()); return 7; }' >>main.c && chown -R 1000:1000 .";
    host.dom0.shell(tree).unwrap().success().unwrap();
    let compile = "for c in word main; do tcc -Iinclude -c $c.c || exit; done; \
                   tcc -o program word.o main.o && ./program; echo $?";
    let run = ["run", "--rm", "-m", "160M", "--network", "none", "-u", "builder"];
    let run = host.vxn(run).args(["-v", "/srv/tree:/src", "-w", "/src", WORKSHOP]);
    let output = run.args(["busybox", "sh", "-c", compile]).run().unwrap().success().unwrap();
    assert_eq!(output.text(), "compiled\n7");
    let made = "cd /srv/tree; stat -c '%n %u:%g %a' word.o program; ./program";
    let made = host.dom0.shell(made).unwrap();
    assert_eq!(made.text(), "word.o 1000:1000 644\nprogram 1000:1000 755\ncompiled");
    assert_eq!(made.code, 7);
    host.dom0.shell("rm -r /srv/tree").unwrap().success().unwrap();
    host.clean([]);
}
