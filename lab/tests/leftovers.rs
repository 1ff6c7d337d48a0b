//! A lab leaves nothing: not when it is dropped, and not when its owner is killed.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use lab::Lab;

/// What a lab could leave: its directory and processes in its networks.
struct Traces {
    directory: PathBuf,
    networks: Vec<u64>,
}

impl Traces {
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        if self.directory.exists() {
            left.push(self.directory.display().to_string());
        }
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            // A process that ends while we look has left nothing.
            let Ok(network) = fs::metadata(entry.path().join("ns/net")) else { continue };
            if self.networks.contains(&network.ino()) {
                left.push(fs::read_to_string(entry.path().join("cmdline")).unwrap_or_default());
            }
        }
        left
    }
}

fn network_of(holder: u32) -> u64 {
    fs::metadata(format!("/proc/{holder}/ns/net")).unwrap().ino()
}

#[test]
fn a_dropped_lab_leaves_no_process_and_no_directory() {
    let lab = Lab::new().unwrap();
    let networks = lab.hosts().iter().map(|host| network_of(host.holder())).collect();
    let traces = Traces { directory: lab.directory().to_owned(), networks };
    lab.server().check("setsid sleep 1000 >/dev/null 2>&1 &").unwrap();
    let mut child = lab.client().command("sleep").arg("1000").spawn().unwrap();
    assert!(traces.left().len() > 4);

    drop(lab);
    assert_eq!(traces.left(), Vec::<String>::new());
    assert!(!child.wait().unwrap().success(), "it was killed");
}

#[test]
fn a_lab_whose_owner_is_killed_ends_by_itself() {
    let mut owner = Command::new(env!("CARGO_BIN_EXE_lab"))
        .arg("hold")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let lines: Vec<String> = lines.map_while(Result::ok).take_while(|line| line != "ready").collect();
    let directory = PathBuf::from(&lines[0]);
    let networks = lines[1..].iter().map(|pid| network_of(pid.parse().unwrap())).collect();
    let traces = Traces { directory, networks };
    assert!(traces.left().len() > 4);

    owner.kill().unwrap();
    owner.wait().unwrap();
    let patience = Instant::now() + Duration::from_secs(30);
    while !traces.left().is_empty() {
        assert!(Instant::now() < patience, "left: {:?}", traces.left());
        std::thread::sleep(Duration::from_millis(50));
    }
}
