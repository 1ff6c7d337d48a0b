//! The agents that `cargo xtask agents` has built, each under qemu: the basic case, end to end.

mod client;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::thread;

use client::{Client, Program};
use proto::Reason;

/// An agent's name and that of the emulator that runs it.
const AGENTS: [(&str, &str); 8] = [
    ("x86_64", "qemu-x86_64-static"),
    ("aarch64", "qemu-aarch64-static"),
    ("armv7", "qemu-arm-static"),
    ("arm", "qemu-arm-static"),
    ("i686", "qemu-i386-static"),
    ("riscv64", "qemu-riscv64-static"),
    ("mipsel", "qemu-mipsel-static"),
    ("ppc64le", "qemu-ppc64le-static"),
];

#[test]
fn each_built_agent_serves_a_session() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prebuilt");
    for (architecture, emulator) in AGENTS {
        let agent = folder.join(architecture);
        if !agent.exists() {
            println!("{architecture}: skipped, not built; `cargo xtask agents {architecture}` builds it");
            continue;
        }
        if !Path::new("/usr/bin").join(emulator).exists() {
            println!(
                "{architecture}: skipped, there is no {emulator}; `apt-get install qemu-user-static` brings it"
            );
            continue;
        }
        println!("{architecture}: {} bytes", fs::metadata(&agent).unwrap().len());
        let reason = serves_a_session(Program::emulated(&agent, emulator.to_owned()));
        // qemu before 8.0 gives a pending socket error in the host's numbers, which differ on MIPS.
        assert!(reason == Some(Reason::Refused) || architecture == "mipsel", "{reason:?}");
    }
}

/// Why a refused connection failed, by the agent's words.
fn serves_a_session(program: Program) -> Option<Reason> {
    const LENGTH: usize = 3 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (path, command) = (program.path(), program.command());
    let mut client = Client::with(program, command);
    assert!(!path.exists(), "its file is still there");

    let bytes: Vec<u8> = (0..LENGTH as u32).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    let stream = client.open(address);
    client.send(stream, &bytes);
    client.finish(stream);
    let target = thread::spawn(move || {
        let mut socket = listener.accept().unwrap().0;
        let mut all = Vec::new();
        socket.read_to_end(&mut all).unwrap();
        socket.write_all(&all).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        listener
    });
    client.until("the echo", |client| client.stream(stream).finished);
    assert!(client.stream(stream).received == bytes);
    let listener = target.join().unwrap();

    // What ends early: a reset by us, a refusal, the link.
    let stream = client.open(address);
    client.until("the connection", |client| client.stream(stream).accepted);
    let mut socket = listener.accept().unwrap().0;
    client.reset(stream);
    client.run_for(std::time::Duration::from_millis(50));
    assert!(socket.read(&mut [0]).is_err(), "a reset became a clean end");
    drop(listener);
    let stream = client.open(address);
    client.until("a refusal", |client| client.stream(stream).reset.is_some());
    let reason = client.stream(stream).reset;
    client.hang_up();
    let (status, words) = client.wait();
    assert_eq!((status.code(), words.as_str()), (Some(0), ""));
    reason
}
