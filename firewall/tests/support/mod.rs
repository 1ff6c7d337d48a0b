//! Network namespaces for each test, and what the tests do in them.
#![allow(dead_code, unreachable_pub)]

pub mod interceptor;
pub mod plain;
pub mod policies;
pub mod processes;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};
use shuttle_firewall::policy::{Action, Policy, Rule};

/// Runs a test on a thread of its own in a fresh network namespace. A second namespace is linked to it,
/// where a server of the name `far` has all addresses of 10.0.0.0/8 and fd00::/16, on port 7. Namespaces are
/// per thread; threads and children inherit them.
pub fn in_a_namespace<T: Send + 'static>(test: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests run as root");
        let far = start_far_namespace();
        run("ip link set lo up");
        run(&format!("ip link add far type veth peer name near netns {}", far.thread));
        run("ip link set far up");
        run("ip address add 172.31.0.1/24 dev far");
        run("ip address add fdff::1/64 dev far nodad");
        run("ip route add default via 172.31.0.2");
        run("ip -6 route add default via fdff::2");
        far.link_is_there.send(()).expect("it waits for this");
        far.serves.recv().expect("it serves");
        test()
    });
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

struct Far {
    thread: nix::unistd::Pid,
    link_is_there: mpsc::Sender<()>,
    serves: mpsc::Receiver<()>,
}

fn start_far_namespace() -> Far {
    let (tell_thread, thread) = mpsc::channel();
    let (link_is_there, wait_for_link) = mpsc::channel();
    let (tell_serving, serves) = mpsc::channel();
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests run as root");
        tell_thread.send(nix::unistd::gettid()).expect("the test waits");
        wait_for_link.recv().expect("the link comes");
        run("ip link set lo up");
        run("ip link set near up");
        run("ip address add 172.31.0.2/24 dev near");
        run("ip address add fdff::2/64 dev near nodad");
        run("ip route add local 10.0.0.0/8 dev lo");
        run("ip -6 route add local fd00::/16 dev lo");
        let _ = serve("far", "[::]:7");
        tell_serving.send(()).expect("the test waits");
        // The namespace lasts as long as this thread.
        loop {
            thread::park();
        }
    });
    Far { thread: thread.recv().expect("it starts"), link_is_there, serves }
}

/// Listens in this thread's namespace, and says `name` and then an echo to each connection. The connections'
/// other ends are passed on, for whoever wants to look at them.
pub fn serve(name: &'static str, address: &str) -> (SocketAddr, mpsc::Receiver<TcpStream>) {
    let listener = TcpListener::bind(address).expect("the address is free");
    let bound = listener.local_addr().expect("it is bound");
    let (accepted, connections) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.expect("it accepts");
            let _ = accepted.send(connection.try_clone().expect("a descriptor"));
            thread::spawn(move || {
                let _ = writeln!(connection, "{name}");
                let mut echo = connection.try_clone().expect("a descriptor");
                let _ = std::io::copy(&mut connection, &mut echo);
            });
        }
    });
    (bound, connections)
}

/// The name of the server that a connection reaches.
pub fn who_answers(address: &str) -> String {
    try_who_answers(address).expect("somebody answers")
}

/// The same, where it may be that nobody listens.
pub fn try_who_answers(address: &str) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(address)?).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}

/// Sends a byte and waits for its echo.
pub fn echoes(connection: &mut TcpStream) -> bool {
    let mut byte = [0];
    connection.write_all(b"x").and_then(|()| connection.read_exact(&mut byte)).is_ok() && &byte == b"x"
}

/// Runs a command in this thread's namespace, and returns what it printed.
pub fn run(command: &str) -> String {
    let mut words = command.split(' ');
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output().expect("the program is installed");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Waits until something holds; the deadline only keeps a fault from hanging the run.
pub fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "still not: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What nft says is loaded, without what differs from one owner to the next.
pub fn listing() -> String {
    let listing = run("nft list ruleset");
    let lines = listing.lines().map(|line| line.split(" # progname").next().unwrap_or(line).trim_end());
    let kept = lines.filter(|line| !line.is_empty() && !line.trim().starts_with("flags owner"));
    kept.map(|line| format!("{line}\n")).collect()
}

/// Loads rules by the nft program itself.
pub fn load_by_nft(text: &str) {
    let mut nft =
        Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft is installed");
    nft.stdin.take().expect("a pipe").write_all(text.as_bytes()).expect("nft reads");
    assert!(nft.wait().expect("nft ends").success(), "nft refused:\n{text}");
}

/// A rule that intercepts, from `NET`, `NET port PORT` or `NET port FIRST-LAST`.
pub fn include(destination: &str) -> Rule {
    rule(Action::Include, destination)
}

/// A rule that leaves alone.
pub fn exclude(destination: &str) -> Rule {
    rule(Action::Exclude, destination)
}

fn rule(action: Action, destination: &str) -> Rule {
    let (net, ports) = match destination.split_once(" port ") {
        None => (destination, None),
        Some((net, ports)) => {
            let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
            (net, Some(first.parse().expect("a port")..=last.parse().expect("a port")))
        }
    };
    Rule { action, net: net.parse().expect("a network"), ports }
}

/// A policy that redirects IPv4 to port 12300 and IPv6 to 12301.
pub fn both(rules: impl IntoIterator<Item = Rule>) -> Policy {
    let rules = rules.into_iter().collect();
    Policy { rules, redirect_v4: Some(12300), redirect_v6: Some(12301), ..Policy::default() }
}
