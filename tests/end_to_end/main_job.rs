//! `shuttle -r user@host SUBNETS`: what is reached through it, and what is left alone.

use std::net::{IpAddr, Ipv4Addr, TcpListener};
use std::process::Stdio;

use lab::{HostPlan, INNER_V4, INNER_V6, Lab, PAGE, port};

use crate::harness::{SHUTTLE, Shuttle, Site, eventually, run_to_end};
use crate::sockets::{connect, echoes, talk};

#[test]
fn pages_come_over_ipv4_and_ipv6_and_end_with_the_shuttle() {
    let site = Site::new();
    let (client, inner) = (site.lab.client(), site.lab.inner());
    let pages = [format!("http://{}/", inner.address_v4()), format!("http://[{}]/", inner.address_v6())];
    let shuttle = site.start_inner();
    for page in &pages {
        assert_eq!(client.check(&format!("curl -sS -m 20 '{page}'")).unwrap(), PAGE);
    }
    shuttle.stop();
    for page in &pages {
        client.check(&format!("curl -sS --connect-timeout 2 '{page}'")).expect_err("the shuttle has ended");
    }
    site.nothing_is_left();
}

#[test]
fn includes_and_excludes_and_their_ports_decide() {
    let site = Site::new();
    // The server answers at the inner addresses, too, for who reaches it directly.
    site.lab
        .server()
        .check("ip address add 10.20.9.1/32 dev lo && ip address add 10.20.9.2/32 dev lo")
        .unwrap();
    let direct = site.lab.server().inside(|| TcpListener::bind("10.20.9.1:7000")).unwrap();
    let _also_direct = site.lab.server().inside(|| TcpListener::bind("10.20.9.2:7000")).unwrap();
    let from = |address: &str| {
        let stream = connect(site.lab.client(), address.parse::<IpAddr>().unwrap(), 7000).unwrap();
        drop(stream);
    };
    let _shuttle = site.start(&[
        "10.20.0.0/24:80-82",
        "10.20.9.0/24",
        "-x",
        "10.20.9.1",
        "-x",
        "10.20.0.2:81",
        INNER_V6,
        "-x",
        &format!("[{}]:{}", site.lab.inner().address_v6(), port::ECHO),
    ]);
    // 80 is in the range, 7 is not, 81 is excluded.
    let (client, inner) = (site.lab.client(), site.lab.inner());
    let reaches = |address: IpAddr, port| {
        let accepted = site.lab.services()[0].accepted();
        // Excluded connections go to the server directly, which forwards nothing: nobody answers them.
        let timeout = std::time::Duration::from_secs(1);
        let stream = client.inside(|| std::net::TcpStream::connect_timeout(&(address, port).into(), timeout));
        match stream {
            Err(_) => false,
            Ok(_stream) => {
                eventually(|| site.lab.services()[0].accepted() > accepted, || format!("{address} {port}"));
                true
            }
        }
    };
    assert!(reaches(inner.address_v4().into(), port::HTTP));
    assert!(reaches(inner.address_v4().into(), port::DEAF));
    assert!(!reaches(inner.address_v4().into(), port::ECHO));
    assert!(!reaches(inner.address_v4().into(), port::RESET));
    assert!(reaches(inner.address_v6().into(), port::HTTP));
    assert!(!reaches(inner.address_v6().into(), port::ECHO));
    // What the server sees as its peer tells which way it came.
    from("10.20.9.1");
    assert_eq!(direct.accept().unwrap().1.ip(), site.lab.client().address_v4(), "excluded: goes directly");
    from("10.20.9.2");
    let through = _also_direct.accept().unwrap().1.ip();
    assert_eq!(through, IpAddr::from(Ipv4Addr::new(10, 20, 9, 2)), "included: comes from the server itself");
}

#[test]
fn host_names_on_the_command_line_mean_all_their_addresses() {
    let site = Site::new();
    let (client, inner) = (site.lab.client(), site.lab.inner());
    let hosts = format!("{} inner.lab\n{} inner.lab\n", inner.address_v4(), inner.address_v6());
    client.check(&format!("echo '{hosts}' >>/etc/hosts")).unwrap();
    let shuttle = site.start(&["inner.lab:7"]);
    assert!(echoes(client, inner.address_v4()));
    assert!(echoes(client, inner.address_v6()));
    shuttle.stop();
}

#[test]
fn two_shuttles_to_two_servers_run_side_by_side() {
    let site = Site::of(Lab::builder().two_sites());
    let client = site.lab.client();
    let first = site.start_inner();
    let second = {
        let mut command = site.command();
        command.args(["-r", "root@server2", "10.30.0.0/16", "fd30::/64"]);
        Shuttle::ready(command)
    };
    let (one, two) = (site.lab.inner(), site.lab.host("inner2"));
    for target in [one, two] {
        assert!(echoes(client, target.address_v4()), "{}", target.name());
        assert!(echoes(client, target.address_v6()), "{}", target.name());
    }
    let long = connect(client, two.address_v4(), port::ECHO).unwrap();
    first.stop();
    talk(&long).expect("the other goes on");
    assert!(echoes(client, two.address_v6()));
    second.stop();
    site.nothing_is_left();
}

#[test]
fn two_shuttles_may_include_the_same_subnet() {
    let site = Site::of(Lab::builder().two_sites());
    let (client, inner) = (site.lab.client(), site.lab.inner());
    let first = site.start_inner();
    let second = {
        let mut command = site.command();
        command.args(["-r", "root@server2", "10.0.0.0/8", "fd30::/16"]);
        Shuttle::ready(command)
    };
    // Both want 10.20/16: one of them serves it, and never in a loop. Of 10.30/16 there is no doubt.
    assert!(echoes(client, site.lab.host("inner2").address_v4()));
    drop(connect(client, inner.address_v4(), port::ECHO));
    second.stop();
    assert!(echoes(client, inner.address_v4()), "the first serves it again");
    first.stop();
    site.nothing_is_left();
}

#[test]
fn everything_may_be_included_and_local_addresses_are_left_alone() {
    let site = Site::new();
    let client = site.lab.client();
    let own = [IpAddr::from(Ipv4Addr::LOCALHOST), client.address_v4().into(), client.address_v6().into()];
    let listener = client.inside(|| TcpListener::bind("[::]:7000")).unwrap();
    let shuttle = site.start(&["0/0", "::/0"]);
    assert!(echoes(client, site.lab.inner().address_v4()));
    assert!(echoes(client, site.lab.inner().address_v6()));
    // The tunnel's own ssh goes to an included address, and so does a user's.
    assert_eq!(
        client.check(&format!("{} {} echo hi", site.lab.ssh_command(), site.lab.login())).unwrap(),
        "hi\n"
    );
    for address in own {
        let stream = connect(client, address, 7000).unwrap();
        let (_, peer) = listener.accept().unwrap();
        assert_eq!(peer.port(), stream.local_addr().unwrap().port(), "{address} was intercepted");
    }
    assert!(!shuttle.words().contains("loop"), "{}", shuttle.words());
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn the_way_through_a_jump_host_is_not_caught_either() {
    let site = Site::of(Lab::builder().behind_jump());
    let client = site.lab.client();
    let shuttle = site.start(&["0/0", "::/0"]);
    assert!(echoes(client, site.lab.inner().address_v4()));
    assert!(echoes(client, site.lab.inner().address_v6()));
    // The jump host's other side is reached from the server only, and its sshd answers that way.
    let banner = client.check("ssh-keyscan -t ed25519 172.20.0.1").unwrap();
    assert!(banner.contains("ssh-ed25519"), "{banner}");
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn connections_from_before_go_on() {
    let site = Site::new();
    let server = site.lab.server().address_v4();
    let listener = site.lab.server().inside(|| TcpListener::bind((server, 7000))).unwrap();
    let before = connect(site.lab.client(), server, 7000).unwrap();
    let (there, _) = listener.accept().unwrap();
    let echo = std::thread::spawn(move || {
        // Ends with the connection.
        let _ = std::io::copy(&mut &there, &mut &there);
    });
    let shuttle = site.start(&["0/0", "::/0"]);
    talk(&before).unwrap();
    let after = connect(site.lab.client(), server, 7000).unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), IpAddr::from(server), "a new one goes through the server");
    drop(after);
    shuttle.stop();
    talk(&before).expect("it does not end with the shuttle either");
    drop(before);
    echo.join().unwrap();
}

#[test]
fn without_a_remote_the_agent_runs_here() {
    let site = Site::new();
    // An address that this machine reaches by itself.
    let server = site.lab.server();
    let listener = server.inside(|| TcpListener::bind((server.address_v4(), 7000))).unwrap();
    let shuttle = {
        let mut command = site.lab.client().command(SHUTTLE);
        command.args(["203.0.113.0/24", "-v"]);
        Shuttle::ready(command)
    };
    let stream = connect(site.lab.client(), server.address_v4(), 7000).unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), IpAddr::from(site.lab.client().address_v4()));
    assert_ne!(peer.port(), stream.local_addr().unwrap().port(), "it was opened by the agent");
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn any_command_that_reaches_a_shell_is_a_transport() {
    let site = Site::new();
    let shuttle = {
        let mut command = site.lab.client().command(SHUTTLE);
        let nested = format!("exec:{} {} sh", site.lab.ssh_command(), site.lab.login());
        command.args(["-r", &nested, INNER_V4]);
        Shuttle::ready(command)
    };
    assert!(echoes(site.lab.client(), site.lab.inner().address_v4()));
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn a_plain_user_on_the_server_is_enough_whatever_his_shell() {
    let site = Site::new();
    let shells = ["/usr/bin/fish", "/bin/tcsh", "/bin/zsh"];
    for (number, shell) in shells.into_iter().enumerate() {
        site.lab.server().add_user(&format!("user{number}"), shell).unwrap();
        let mut command = site.command();
        command.args(["-r", &format!("user{number}@server"), INNER_V4]);
        let shuttle = Shuttle::ready(command);
        assert!(echoes(site.lab.client(), site.lab.inner().address_v4()), "{shell}");
        shuttle.stop();
    }
}

#[test]
fn a_server_with_nothing_but_a_small_place_to_execute_is_enough() {
    let site = Site::new();
    site.lab
        .server()
        .check("for place in /tmp /var/tmp /run; do mount -o remount,noexec $place; done; mount -o remount,ro /root")
        .unwrap();
    let shuttle = site.start_inner();
    assert!(echoes(site.lab.client(), site.lab.inner().address_v4()));
    shuttle.stop();
}

#[test]
fn a_plain_user_here_becomes_root_by_sudo_for_the_rules_only() {
    let site = Site::new();
    let client = site.lab.client();
    client
        .check("echo 'alice ALL=(root) NOPASSWD: ALL' >/etc/sudoers.d/lab && chmod 440 /etc/sudoers.d/lab")
        .unwrap();
    let program = as_alice_may_run(&site);
    let mut command = client.command_as_alice(&program);
    command.args(["-e", &site.lab.ssh_command(), "-r", "root@server", INNER_V4, INNER_V6]);
    let shuttle = Shuttle::ready(command);
    assert!(echoes(client, site.lab.inner().address_v4()));
    assert!(echoes(client, site.lab.inner().address_v6()));
    for (process, user) in [(shuttle.pid(), lab::ALICE), (shuttle.ssh(), lab::ALICE), (shuttle.helpers[0], 0)]
    {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        assert!(status.contains(&format!("Uid:\t{user}\t")), "{status}");
    }
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn a_plain_user_without_sudo_is_told_what_is_needed() {
    let site = Site::new();
    let program = as_alice_may_run(&site);
    let mut command = site.lab.client().command_as_alice(&program);
    command.args(["-e", &site.lab.ssh_command(), "-r", "root@server", INNER_V4]);
    run_to_end(command).failed_with("sudo");
    // And nothing at all that could make him root.
    let mut command = site.lab.client().command_as_alice(&program);
    command.args(["-e", &site.lab.ssh_command(), "-r", "root@server", INNER_V4]).env("PATH", "/nonexistent");
    run_to_end(command).failed_with("root");
    site.nothing_is_left();
}

/// A copy of the program where alice may read it: a checkout need not be open to everyone.
fn as_alice_may_run(site: &Site) -> std::path::PathBuf {
    let copy = site.lab.directory().join("shuttle");
    // By a process of its own: another test's fork would hold our file open for writing, and it could not be run.
    site.lab.client().check(&format!("cp {SHUTTLE} {}", copy.display())).unwrap();
    copy
}

#[test]
fn a_machine_without_ipv6_is_served_over_ipv4() {
    let site = Site::new();
    site.lab.client().check("echo 1 | tee /proc/sys/net/ipv6/conf/*/disable_ipv6 >/dev/null").unwrap();
    let shuttle = site.start_inner();
    assert!(echoes(site.lab.client(), site.lab.inner().address_v4()));
    assert!(shuttle.words().contains("IPv6"), "it says that IPv6 is left out: {}", shuttle.words());
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn status_tells_of_the_traffic_and_stop_ends_it() {
    let site = Site::new();
    let client = site.lab.client();
    let mut shuttle = site.start_inner();
    let open = connect(client, site.lab.inner().address_v4(), port::ECHO).unwrap();
    talk(&open).unwrap();
    let output = client.command(SHUTTLE).args(["status", "--json"]).output().unwrap();
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let status = &status[0];
    assert_eq!(status["link"], "up", "{status}");
    assert_eq!(status["streams_open"], 1, "{status}");
    assert_eq!(status["bytes_up"], 5, "{status}");
    assert_eq!(status["bytes_down"], 5, "{status}");
    let stop = client.command(SHUTTLE).arg("stop").stderr(Stdio::piped()).output().unwrap();
    assert!(stop.status.success(), "{stop:?}");
    assert_eq!(shuttle.wait().status.code(), Some(0));
    site.nothing_is_left();
}

#[test]
fn the_server_may_be_named_by_its_ipv6_address() {
    let site = Site::of(Lab::builder().host(HostPlan::new("server").sshd_with(&["ListenAddress [::]:2222"])));
    let mut command = site.command();
    command.args(["-r", &format!("root@[{}]:2222", site.lab.server().address_v6()), INNER_V6]);
    let known = std::fs::read_to_string(site.lab.directory().join("known_hosts")).unwrap();
    let key = known.split_once(' ').unwrap().1;
    let line = format!("[{}]:2222 {key}", site.lab.server().address_v6());
    std::fs::write(site.lab.directory().join("known_hosts"), known.clone() + &line).unwrap();
    let shuttle = Shuttle::ready(command);
    assert!(echoes(site.lab.client(), site.lab.inner().address_v6()));
    shuttle.stop();
}
