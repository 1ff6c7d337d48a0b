//! The lab keeps its own promises: who reaches whom, logins, users, congestion control.

use std::net::{TcpListener, TcpStream};

use lab::{Lab, PAGE, port};
use socket2::SockRef;

#[test]
fn the_server_reaches_the_inner_page_and_the_client_does_not() {
    let lab = Lab::new().unwrap();
    for address in [format!("{}", lab.inner().address_v4()), format!("[{}]", lab.inner().address_v6())] {
        assert_eq!(lab.server().check(&format!("curl -sS http://{address}/")).unwrap(), PAGE);
        let refused = lab.client().run(&format!("curl -sS --connect-timeout 1 http://{address}/")).unwrap();
        assert!(!refused.status.success(), "the client reached {address} by itself");
    }
}

#[test]
fn root_and_alice_log_in_over_ipv4_ipv6_and_by_name() {
    let lab = Lab::new().unwrap();
    let v6 = lab.server().address_v6();
    for (login, says) in [
        (lab.login().to_owned(), "root 203.0.113.1"),
        (lab.user_login().to_owned(), "alice 203.0.113.1"),
        (format!("root@{v6}"), "root 2001:db8:113::1"),
        ("alice@server".to_owned(), "alice 203.0.113.1"),
    ] {
        let line = format!("{} {login} 'echo $(id -un) ${{SSH_CLIENT%% *}}'", lab.ssh_command());
        assert_eq!(lab.client().check(&line).unwrap().trim(), says);
        let output = lab.client().command_as_alice("sh").args(["-c", &line]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), says, "{output:?}");
    }
}

#[test]
fn a_server_behind_a_jump_host_is_reached_through_it_only() {
    let lab = Lab::builder().behind_jump().build().unwrap();
    let line = format!("{} {} 'echo ${{SSH_CLIENT%% *}}'", lab.ssh_command(), lab.login());
    assert_eq!(lab.client().check(&line).unwrap().trim(), "172.20.0.1", "the jump host's inner address");
    let direct = format!("{} -J none -o ConnectTimeout=1 {} true", lab.ssh_command(), lab.login());
    assert!(!lab.client().run(&direct).unwrap().status.success());
}

#[test]
fn two_sites_have_a_server_and_an_inner_network_each() {
    let lab = Lab::builder().two_sites().build().unwrap();
    for (server, inner, other) in [("server", "inner", "inner2"), ("server2", "inner2", "inner")] {
        let fetch = |name: &str| {
            let address = lab.host(name).address_v4();
            format!("{} root@{server} curl -sS --max-time 1 http://{address}/", lab.ssh_command())
        };
        assert_eq!(lab.client().check(&fetch(inner)).unwrap(), PAGE);
        assert!(!lab.client().run(&fetch(other)).unwrap().status.success());
    }
}

#[test]
fn a_user_gets_the_login_shell_that_was_asked_for() {
    let lab = Lab::new().unwrap();
    lab.server().add_user("bert", "/bin/bash").unwrap();
    lab.server().add_user("dora", "/bin/dash").unwrap();
    for (user, shell) in [("bert", "/bin/bash"), ("dora", "/bin/dash")] {
        let line = format!("{} {user}@server 'readlink /proc/$$/exe; pwd'", lab.ssh_command());
        let says = lab.client().check(&line).unwrap();
        let real = std::fs::canonicalize(shell).unwrap();
        assert_eq!(says, format!("{}\n/run/home/{user}\n", real.display()));
    }
}

#[test]
fn sockets_of_commands_and_closures_use_cubic_also_on_loopback() {
    let lab = Lab::new().unwrap();
    let (client, inner) = (lab.client(), lab.inner());
    let control = |socket: &TcpStream| SockRef::from(socket).tcp_congestion().unwrap();
    let pairs = [
        lab.server().inside(|| TcpStream::connect((inner.address_v4(), port::ECHO)).unwrap()),
        lab.server().inside(|| TcpStream::connect((inner.address_v6(), port::ECHO)).unwrap()),
        client.inside(|| TcpStream::connect((lab.server().address_v4(), 22)).unwrap()),
        client.inside(|| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).unwrap()
        }),
        client.inside(|| {
            let listener = TcpListener::bind("[::1]:0").unwrap();
            TcpStream::connect(listener.local_addr().unwrap()).unwrap()
        }),
        client.inside(|| {
            let listener = TcpListener::bind((client.address_v4(), 0)).unwrap();
            let _outgoing = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            listener.accept().unwrap().0
        }),
    ];
    for socket in &pairs {
        let name = control(socket);
        assert_eq!(String::from_utf8_lossy(&name).trim_end_matches('\0'), "cubic", "{socket:?}");
    }
}

#[test]
fn a_command_starts_in_the_callers_directory_and_sees_only_its_hosts_network() {
    let lab = Lab::new().unwrap();
    let here = std::env::current_dir().unwrap();
    assert_eq!(lab.client().check("pwd").unwrap().trim(), here.to_str().unwrap());
    assert_eq!(lab.client().check("hostname").unwrap(), "client\n");
    assert_eq!(lab.client().check("ls /sys/class/net").unwrap(), "lo\nto-server\n");
    assert_eq!(lab.server().check("ls /tmp | wc -l").unwrap().trim(), "0");
    assert!(lab.client().check("cat /sys/fs/cgroup/cgroup.controllers").is_ok());
}

#[test]
fn the_processes_of_a_host_are_told_from_those_of_the_others() {
    let lab = Lab::new().unwrap();
    let mut child = lab.client().command("sleep").arg("1000").spawn().unwrap();
    // Between fork and exec it is not there yet.
    while lab.client().processes().iter().all(|process| process.name != "sleep") {
        std::thread::yield_now();
    }
    let names =
        |name: &str| lab.host(name).processes().into_iter().map(|process| process.name).collect::<Vec<_>>();
    assert_eq!(names("client"), ["sleep"]);
    assert_eq!(names("server"), ["sshd"]);
    assert_eq!(names("inner"), Vec::<String>::new());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(names("client"), Vec::<String>::new());
}
