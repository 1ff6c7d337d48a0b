//! In a user namespace, root of nothing else, the lab can do all the same.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// Ends what it holds.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_lab_is_built_in_a_user_namespace_and_ssh_logs_in_there() {
    let script = "echo; exec cat";
    let namespace = Command::new("unshare")
        .args(["--user", "sh", "-c", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut namespace = Ended(namespace);
    // Its line says that the namespace is there.
    let mut output = BufReader::new(namespace.0.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    let pid = namespace.0.id();
    for map in ["uid_map", "gid_map"] {
        std::fs::write(format!("/proc/{pid}/{map}"), "0 0 65536\n").unwrap();
    }

    let ids = "for who in root alice; do ssh -F \"$LAB_SSH_CONFIG\" $who@server id -un; done";
    let output = Command::new("nsenter")
        .args([&format!("--target={pid}"), "--user", env!("CARGO_BIN_EXE_lab"), "run", "client", ids])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "root\nalice\n");
}
