//! A real terminal, as a person has it.

use crate::{BUSYBOX, PATIENCE, host};

#[test]
fn a_shell_in_a_terminal_is_one() {
    let Some(host) = host() else { return };
    let run = host.vxn(["run", "-it", "--rm", "-m", "160M", "--name", "tty", BUSYBOX, "sh"]);
    let mut pty = run.timeout(PATIENCE).spawn_pty().unwrap();
    pty.expect("# ").unwrap();
    pty.send("tty; stty size; echo $TERM; test -t 2 && echo all\r").unwrap();
    pty.expect("/dev/pts/0").unwrap();
    pty.expect("24 80").unwrap();
    pty.expect("xterm").unwrap();
    pty.expect("\nall").unwrap();
    // Line editing, Ctrl-C on what runs, Ctrl-Z and fg.
    pty.send("echo rigth\x7f\x7fht\r").unwrap();
    pty.expect("\nright").unwrap();
    // What is typed while the shell still edits the line is no signal: wait for a
    // word that is not the echo.
    pty.send("echo a''sleep; sleep 1000\r").unwrap();
    pty.expect("\nasleep").unwrap();
    pty.send("\x03").unwrap();
    pty.expect("^C").unwrap();
    pty.send("echo back $?\r").unwrap();
    pty.expect("back 130").unwrap();
    pty.send("exit 6\r").unwrap();
    assert_eq!(pty.wait().unwrap(), 6);
    host.clean([]);
}

#[test]
fn a_terminal_is_left_and_entered_again() {
    let Some(host) = host() else { return };
    let run = host.vxn(["run", "-it", "-m", "160M", "--name", "stay", BUSYBOX, "sh"]);
    let mut pty = run.timeout(PATIENCE).spawn_pty().unwrap();
    pty.expect("# ").unwrap();
    pty.send("word=kept\r").unwrap();
    pty.expect("word=kept").unwrap();
    pty.send("\x10\x11").unwrap();
    assert_eq!(pty.wait().unwrap(), 0);
    assert_eq!(host.field("stay", "{{.State.Status}}"), "running");
    let mut pty = host.vxn(["attach", "--detach-keys", "ctrl-a,d", "stay"]).spawn_pty().unwrap();
    pty.send("echo $word again\r").unwrap();
    pty.expect("kept again").unwrap();
    pty.send("\x01d").unwrap();
    assert_eq!(pty.wait().unwrap(), 0);
    let mut pty = host.vxn(["exec", "-it", "stay", "sh"]).spawn_pty().unwrap();
    pty.expect("# ").unwrap();
    pty.send("tty; exit 3\r").unwrap();
    pty.expect("/dev/pts/1").unwrap();
    assert_eq!(pty.wait().unwrap(), 3);
    host.clean(["stay"]);
}

#[test]
fn the_terminal_is_put_back() {
    let Some(host) = host() else { return };
    // `stty -g` before and after, in one terminal, the container killed between.
    let script = format!(
        "before=$(stty -g); vxn run -it --rm -m 160M --type pv --name lost {BUSYBOX} sh -c 'echo up; sleep 1000'; \
         code=$?; [ \"$(stty -g)\" = \"$before\" ] && echo restored $code"
    );
    let pty = host.dom0.command(["sh", "-c", &script]).timeout(PATIENCE).spawn_pty().unwrap();
    pty.expect("up").unwrap();
    host.ok(["kill", "lost"]);
    pty.expect("restored 137").unwrap();
    pty.wait().unwrap();
    host.clean([]);
}
