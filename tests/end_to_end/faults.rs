//! Every fault that we promise to survive, caused for real.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use lab::{INNER_V4, Lab, Wan, port};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::harness::{Ended, SHUTTLE, Shuttle, Site, eventually, run_to_end};
use crate::sockets::{connect, echoes, end_from, end_of, reset, talk};

/// An open conversation through the shuttle.
fn conversation(site: &Site) -> TcpStream {
    let stream = connect(site.lab.client(), site.lab.inner().address_v4(), port::ECHO).unwrap();
    talk(&stream).unwrap();
    stream
}

/// Kills one of the parts: nothing is left. Gives how the shuttle and an open conversation ended.
fn kill_one(part: impl Fn(&Site, &Shuttle) -> Pid) -> (Ended, TcpStream) {
    let site = Site::new();
    let mut shuttle = site.start_inner();
    let stream = conversation(&site);
    kill(part(&site, &shuttle), Signal::SIGKILL).unwrap();
    let ended = shuttle.wait();
    drop(shuttle);
    if ended.status.code().is_none() {
        // A killed daemon's control socket is a dead file until any shuttle of the user looks for others.
        let mut status = site.lab.client().command(SHUTTLE);
        assert!(!status.arg("status").output().unwrap().status.success());
    }
    site.nothing_is_left();
    (ended, stream)
}

#[test]
fn a_killed_ssh_ends_everything_and_is_named() {
    let (ended, stream) = kill_one(|_, shuttle| shuttle.ssh());
    ended.failed_with("killed by signal 9");
    assert_eq!(end_of(&stream), Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_killed_agent_ends_everything() {
    let (ended, stream) = kill_one(|site, _| site.agent());
    ended.failed_with("lost");
    assert_eq!(end_of(&stream), Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_killed_helper_ends_everything_and_is_named() {
    for which in [0, 1] {
        // With the rules the kernel's translation is gone, so the application need not hear of its end.
        kill_one(|_, shuttle| shuttle.helpers[which]).0.failed_with("firewall helper");
    }
}

#[test]
fn a_killed_daemon_takes_everything_with_it() {
    let (ended, _) = kill_one(|_, shuttle| shuttle.pid());
    assert_eq!(ended.status.code(), None);
}

#[test]
fn when_all_are_killed_the_kernel_removes_the_rules_and_the_next_start_the_rest() {
    for by_cleanup in [true, false] {
        let site = Site::new();
        let mut shuttle = site.start_inner();
        let mut all = vec![shuttle.pid(), shuttle.ssh(), site.agent()];
        all.extend(&shuttle.helpers);
        for pid in all {
            // One may have ended already because another did.
            let _ = kill(pid, Signal::SIGKILL);
        }
        shuttle.wait();
        eventually(|| site.rules().is_empty(), || site.rules());
        if by_cleanup {
            let mut cleanup = site.lab.client().command(SHUTTLE);
            assert!(cleanup.arg("cleanup").output().unwrap().status.success());
        } else {
            site.start_inner().stop();
        }
        site.nothing_is_left();
    }
}

#[test]
fn each_signal_ends_it_cleanly_and_connections_see_a_reset() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let site = Site::new();
        let mut shuttle = site.start_inner();
        let stream = conversation(&site);
        let told = Instant::now();
        shuttle.signal(signal);
        let ended = shuttle.wait();
        println!("{signal}: ended after {:?}", told.elapsed());
        assert_eq!(ended.status.code(), Some(0), "{ended:?}");
        assert_eq!(end_of(&stream), Some(ErrorKind::ConnectionReset));
        site.nothing_is_left();
    }
}

#[test]
fn somebody_elses_flush_of_all_rules_does_not_touch_ours() {
    let site = Site::new();
    let shuttle = site.start_inner();
    site.lab.client().check("nft flush ruleset").unwrap();
    assert!(echoes(site.lab.client(), site.lab.inner().address_v4()));
    shuttle.stop();
}

#[test]
fn out_of_descriptors_it_waits_until_there_are_some_again() {
    let site = Site::new();
    let shuttle = site.start_inner();
    let (client, inner) = (site.lab.client(), site.lab.inner().address_v4());
    let set_limit = |limit: u32| {
        client.check(&format!("prlimit --pid {} --nofile={limit}:{limit}", shuttle.pid())).unwrap();
    };
    set_limit(64);
    // The kernel completes the handshakes of those that are not accepted.
    let crowd: Vec<_> = (0..100).map(|_| connect(client, inner, port::ECHO).unwrap()).collect();
    let before = processor_time(shuttle.pid());
    std::thread::sleep(Duration::from_millis(500));
    let spent = processor_time(shuttle.pid()) - before;
    assert!(spent < 25, "it spins: {spent} ticks of 10 ms in half a second");
    let served = crowd.iter().take(10).filter(|stream| talk(stream).is_ok()).count();
    assert_eq!(served, 10, "those that were accepted are served");
    drop(crowd);
    assert!(echoes(client, inner), "{}", shuttle.words());
    shuttle.stop();
}

/// User and system time, in ticks of 10 ms.
fn processor_time(pid: Pid) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// sshuttle#287, #399: a port scanner is gone before anybody asks where it was going.
#[test]
fn peers_that_are_gone_at_once_do_no_harm() {
    let site = Site::new();
    let shuttle = site.start_inner();
    let (client, inner) = (site.lab.client(), site.lab.inner().address_v4());
    for _ in 0..2000 {
        let stream = connect(client, inner, port::ECHO).unwrap();
        reset(stream);
    }
    assert!(echoes(client, inner));
    shuttle.stop();
}

#[test]
fn the_redirect_port_itself_is_refused_and_does_not_loop() {
    let site = Site::new();
    let shuttle = site.start_inner();
    let end = end_from(site.lab.client(), IpAddr::from(Ipv4Addr::LOCALHOST), 12_300);
    assert_eq!(end, Some(ErrorKind::ConnectionReset));
    eventually(|| shuttle.words().contains("redirect port"), || shuttle.words());
    assert!(echoes(site.lab.client(), site.lab.inner().address_v4()));
    shuttle.stop();
}

/// Runs a shuttle whose ssh (byte by byte, so that none waits in a buffer) spoils what comes from the server after some bytes, in the middle of a download.
fn download_through(site: &Site, spoil: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let ssh = directory.path().join("ssh");
    let script = format!("#!/bin/sh\n{} \"$@\" | {{ {spoil}; }}\n", site.lab.ssh_command());
    std::fs::write(&ssh, script).unwrap();
    std::fs::set_permissions(&ssh, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = site.lab.client().command(SHUTTLE);
    command.args(["-e", ssh.to_str().unwrap(), "-r", site.lab.login(), INNER_V4]);
    let mut shuttle = Shuttle::ready(command);
    let mut stream = connect(site.lab.client(), site.lab.inner().address_v4(), port::SOURCE).unwrap();
    // It may break off before the request for more is written.
    let _ = stream.write_all(b"more");
    let _ = stream.read_to_end(&mut Vec::new());
    let ended = shuttle.wait();
    drop(shuttle);
    site.nothing_is_left();
    ended
}

#[test]
fn garbage_from_the_peer_ends_the_session_and_is_called_so() {
    let site = Site::new();
    for bytes in [3_000, 20_001, 100_007] {
        let spoil = format!("dd bs=1 count={bytes} status=none; head -c 200000 /dev/urandom; cat >/dev/null");
        download_through(&site, &spoil).failed_with("lost");
    }
}

#[test]
fn a_link_that_is_cut_short_ends_the_session() {
    let site = Site::new();
    for bytes in [3_000, 20_001] {
        // What ssh had written by then may all be in the pipe: only the shell's end closes ours.
        let spoil = format!("dd bs=1 count={bytes} status=none; kill $$");
        download_through(&site, &spoil).failed_with("lost");
    }
}

#[test]
fn a_wide_area_line_may_be_cut_and_mended() {
    let lab = Lab::builder().wan(Wan::new(Duration::from_millis(20), 50));
    let site = Site::of(lab);
    let shuttle = site.start_inner();
    let stream = conversation(&site);
    site.lab.wan().cut();
    (&stream).write_all(b"hello").unwrap();
    std::thread::sleep(Duration::from_millis(300));
    site.lab.wan().mend();
    let mut back = [0; 5];
    (&stream).read_exact(&mut back).unwrap();
    assert_eq!(&back, b"hello");
    shuttle.stop();
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let site = Site::new();
    for remote in ["root@203.0.113.77:1", "nobody-there@203.0.113.2"] {
        let mut command = site.command();
        command.args(["-r", remote, INNER_V4]);
        let ended = run_to_end(command);
        assert_eq!(ended.status.code(), Some(99), "{ended:?}");
        site.nothing_is_left();
    }
}
