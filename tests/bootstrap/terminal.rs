//! ssh asks for a password on the user's terminal.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::Child;

use lab::{HostPlan, Lab};
use nix::pty::{OpenptyResult, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::kit::eventually;
use crate::stand_in::{STARTED, stand_in};

const PASSWORD: &str = "open sesame";
/// That, as `openssl passwd -6` writes it.
const HASHED: &str =
    "$6$shuttle$lQXP6Grpw8YeXdFl5fv9tzQ/TjsL34iZH92TuhbUBS9T0xHFjv2baTdGxzmwTnGMbnx06cN0cFpf2Xvwzs3Sk.";

/// A program on a terminal of its own, whose server asks ann for her password.
struct Scene {
    master: File,
    /// Held open, so that the terminal's state can be read after its program has gone.
    terminal: File,
    child: Child,
    shown: String,
    _lab: Lab,
}

impl Scene {
    fn new() -> Self {
        let lab = Lab::builder()
            .host(HostPlan::new("server").sshd_with(&["PasswordAuthentication yes"]))
            .build()
            .unwrap();
        lab.server().add_user("ann", "/bin/bash").unwrap();
        lab.server()
            .check(&format!(
                "sed 's|^ann:[^:]*|ann:{HASHED}|' /etc/shadow >/run/shadow && cat /run/shadow >/etc/shadow"
            ))
            .unwrap();
        let OpenptyResult { master, slave } = openpty(None, None).unwrap();
        let terminal = File::from(slave);
        let end = || terminal.try_clone().unwrap();
        let ssh = lab.ssh_command().replacen("ssh", "ssh -o BatchMode=no -o PubkeyAuthentication=no", 1);
        let child = stand_in(&lab, &["setsid", "--ctty", "--wait"], &ssh, "ann")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        Self { master: master.into(), terminal, child, shown: String::new(), _lab: lab }
    }

    fn read_until(&mut self, wanted: &str) {
        let mut buffer = [0; 1024];
        while !self.shown.contains(wanted) {
            let length = self.master.read(&mut buffer).unwrap();
            self.shown.push_str(&String::from_utf8_lossy(&buffer[..length]));
            assert!(!self.shown.contains("panicked"), "{}", self.shown);
        }
    }

    fn echoes(&self) -> bool {
        tcgetattr(self.terminal.as_fd()).unwrap().local_flags.contains(LocalFlags::ECHO)
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // It may have ended as it should.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_password_is_asked_for_and_taken() {
    let mut scene = Scene::new();
    scene.read_until("password:");
    eventually("the password is not shown", || !scene.echoes());
    writeln!(scene.master, "{PASSWORD}").unwrap();
    scene.read_until(STARTED);
    assert!(scene.echoes());
    assert!(!scene.shown.contains(PASSWORD));
}

#[test]
fn ctrl_c_at_the_password_gives_the_terminal_its_echo_back() {
    let mut scene = Scene::new();
    scene.read_until("password:");
    eventually("the password is not shown", || !scene.echoes());
    scene.master.write_all(b"\x03").unwrap();
    let Scene { child, .. } = &mut scene;
    child.wait().unwrap();
    eventually("the terminal echoes again", || scene.echoes());
}
