//! The main job with a remote of another architecture: its agent runs under qemu-user, which the kernel starts by
//! itself (binfmt_misc) in a user namespace of the remote's own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use lab::Lab;
use shuttle::agents::AGENTS;

/// An emulated start takes a second or two; this is only against waiting for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Ends the shuttle also when the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What `uname -m` says on such a machine, and what qemu calls it.
fn names(architecture: &str) -> (&str, &str) {
    match architecture {
        "armv7" => ("armv7l", "arm"),
        "arm" => ("armv6l", "arm"),
        "mipsel" => ("mips", "mipsel"),
        "i686" => ("i686", "i386"),
        same => (same, same),
    }
}

/// A `uname` that says so, to be found first.
fn claim_machine(directory: &Path, machine: &str) {
    let file = directory.join("uname");
    fs::write(&file, format!("#!/bin/sh\necho Linux {machine}\n")).unwrap();
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).unwrap();
}

fn fetch_through(lab: &Lab, architecture: &str) {
    let (machine, qemu) = names(architecture);
    let directory = tempfile::tempdir().unwrap();
    let directory = directory.path();
    claim_machine(directory, machine);
    // A kernel that runs a program natively (i686 on x86_64) needs no emulator.
    let remote = format!(
        "nsenter --net=/proc/{server}/ns/net unshare --user --map-root-user --mount sh -c '
            mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
            test {architecture} = i686 || cat /usr/lib/binfmt.d/qemu-{qemu}.conf >/proc/sys/fs/binfmt_misc/register
            PATH={path}:$PATH exec sh'",
        server = lab.server().holder(),
        path = directory.display(),
    );
    let runtime = directory.join("run");
    let shuttle = |arguments: &[&str]| {
        let mut command = lab.client().command(env!("CARGO_BIN_EXE_shuttle"));
        command.env("SHUTTLE_RUNTIME_DIR", &runtime).env("XDG_CACHE_HOME", directory).args(arguments);
        command
    };
    let remote = format!("exec:{remote}");
    let log = directory.join("log");
    let words = || fs::read_to_string(&log).unwrap_or_default();
    let child = shuttle(&["-r", &remote, lab::INNER_V4, lab::INNER_V6])
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .expect("shuttle starts");
    let mut running = Running(child);

    let begun = Instant::now();
    let status = loop {
        let output = shuttle(&["status", "--json"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if text.contains("\"up\"") {
            break text;
        }
        assert_eq!(running.0.try_wait().unwrap(), None, "{architecture}: {}", words());
        assert!(begun.elapsed() < PATIENCE, "{architecture}: not up: {text}{}", words());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(status.contains(&format!("\"{machine}\"")), "{architecture}: {status}");

    let v4 = format!("http://{}/", lab.inner().address_v4());
    let v6 = format!("http://[{}]/", lab.inner().address_v6());
    for url in [v4, v6] {
        let page = lab.client().check(&format!("curl -sS --max-time 60 {url}")).unwrap();
        assert_eq!(page, lab::PAGE, "{architecture}: {url}");
    }
    let stopped = shuttle(&["stop"]).status().unwrap();
    assert!(stopped.success());
    assert!(running.0.wait().unwrap().success(), "{architecture}: a clean end");
}

#[test]
fn each_embedded_agent_does_the_main_job_under_qemu() {
    let foreign: Vec<_> = AGENTS
        .iter()
        .map(|agent| agent.architecture)
        .filter(|&name| name != std::env::consts::ARCH)
        .collect();
    if foreign.is_empty() {
        println!("left out: no agent of another architecture is embedded; `cargo xtask agents` builds them");
    }
    let lab = Lab::new().unwrap();
    for architecture in foreign {
        fetch_through(&lab, architecture);
        println!("{architecture}: fetched over IPv4 and IPv6");
    }
}
