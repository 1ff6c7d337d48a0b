//! The helper with a daemon before it and a real kernel behind it: what it does, and that nothing of it is
//! left whoever dies.

mod support;

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use shuttle_firewall::helper::protocol::{Request, to_line};
use shuttle_firewall::nft::Nft;
use shuttle_firewall::policy::Policy;
use shuttle_firewall::ruleset::compile;
use support::interceptor::{Interceptor, program};
use support::plain::PlainHelper;
use support::processes::{Sleeper, cgroup_of, is_alive};
use support::{both, echoes, in_a_namespace, include, listing, run, serve, wait_until, who_answers};

/// Everything that 10.0.0.0/8 and fd00::/16 are.
const EVERYTHING: [&str; 3] = ["12300", "10.0.0.0/8", "fd00::/16"];
const EXEMPT: [&str; 4] = ["--exempt", "12300", "10.0.0.0/8", "fd00::/16"];

fn state_file(interceptor: &Interceptor) -> PathBuf {
    Path::new("/run/shuttle").join(format!("{}.json", interceptor.hello.table))
}

#[test]
fn connections_are_redirected_and_keep_their_original_destination() {
    in_a_namespace(|| {
        let (_, accepted) = serve("near", "[::]:12300");
        let interceptor = Interceptor::start(&EVERYTHING);
        for destination in ["10.1.2.3:7", "[fd00::5]:7"] {
            assert_eq!(who_answers(destination), "near");
            let connection = accepted.recv().unwrap();
            let socket = socket2::SockRef::from(&connection);
            let destination: SocketAddr = destination.parse().unwrap();
            let original = match destination {
                SocketAddr::V4(_) => socket.original_dst_v4(),
                SocketAddr::V6(_) => socket.original_dst_v6(),
            };
            assert_eq!(original.unwrap().as_socket(), Some(destination));
        }
        assert!(interceptor.stop().success());
        assert_eq!(who_answers("10.1.2.3:7"), "far");
        assert_eq!(who_answers("[fd00::5]:7"), "far");
    });
}

#[test]
fn connections_that_exist_already_and_local_ones_are_left_alone() {
    in_a_namespace(|| {
        let _near = serve("near", "[::]:12300");
        let _local = serve("local", "[::]:7");
        run("ip address add 10.99.0.1/32 dev lo");
        let mut before = TcpStream::connect("10.1.2.3:7").unwrap();
        let mut name = [0; 4];
        std::io::Read::read_exact(&mut before, &mut name).unwrap();
        assert_eq!(&name, b"far\n");
        let interceptor = Interceptor::start(&EVERYTHING);
        assert!(echoes(&mut before), "it has been cut");
        assert_eq!(who_answers("10.1.2.3:7"), "near");
        assert_eq!(who_answers("10.99.0.1:7"), "local");
        assert_eq!(who_answers("127.0.0.1:7"), "local");
        assert!(interceptor.stop().success());
        assert!(echoes(&mut before), "it has been cut");
    });
}

#[test]
fn an_exempt_caller_is_not_redirected_while_others_are() {
    in_a_namespace(|| {
        let _near = serve("near", "[::]:12300");
        let mut interceptor = Interceptor::start(&EXEMPT);
        assert_eq!(interceptor.hello.cannot_exempt, None);
        let cgroup = cgroup_of(interceptor.daemon());
        assert_eq!(cgroup.file_name().unwrap().to_str(), Some(interceptor.hello.table.as_str()));
        for destination in ["10.1.2.3:7", "[fd00::5]:7"] {
            assert_eq!(interceptor.who_answers(destination), "far");
            assert_eq!(who_answers(destination), "near");
        }
        let state = state_file(&interceptor);
        assert!(state.exists());
        assert!(interceptor.stop().success());
        wait_until("the cgroup is gone", || !cgroup.exists());
        wait_until("the state file is gone", || !state.exists());
    });
}

#[test]
fn somebody_who_flushes_all_rules_does_not_flush_ours() {
    in_a_namespace(|| {
        let _near = serve("near", "[::]:12300");
        let interceptor = Interceptor::start(&EVERYTHING);
        assert!(interceptor.hello.owned);
        run("nft flush ruleset");
        assert_eq!(who_answers("10.1.2.3:7"), "near");
        assert!(interceptor.stop().success());
        assert_eq!(listing(), "");
    });
}

#[test]
fn two_stand_side_by_side_and_each_removes_its_own() {
    in_a_namespace(|| {
        let _one = serve("one", "[::]:12300");
        let _two = serve("two", "[::]:12301");
        let one = Interceptor::start(&["--exempt", "12300", "10.1.0.0/16"]);
        let two = Interceptor::start(&["--exempt", "12301", "10.2.0.0/16"]);
        assert_eq!(who_answers("10.1.0.1:7"), "one");
        assert_eq!(who_answers("10.2.0.1:7"), "two");
        assert!(one.stop().success());
        assert_eq!(who_answers("10.1.0.1:7"), "far");
        assert_eq!(who_answers("10.2.0.1:7"), "two");
        assert!(two.stop().success());
        assert_eq!(listing(), "");
    });
}

#[test]
fn a_killed_server_leaves_nothing_and_its_daemon_learns_of_it() {
    in_a_namespace(|| {
        let mut interceptor = Interceptor::start(&EXEMPT);
        let (cgroup, state) = (cgroup_of(interceptor.daemon()), state_file(&interceptor));
        interceptor.kill(&[interceptor.server()]);
        assert_eq!(interceptor.ended().code(), Some(1));
        assert_eq!(listing(), "");
        wait_until("the cgroup is gone", || !cgroup.exists());
        wait_until("the state file is gone", || !state.exists());
    });
}

#[test]
fn a_killed_keeper_leaves_nothing() {
    in_a_namespace(|| {
        let mut interceptor = Interceptor::start(&EXEMPT);
        let (cgroup, server) = (cgroup_of(interceptor.daemon()), interceptor.server());
        interceptor.kill(&[interceptor.keeper()]);
        assert_eq!(interceptor.ended().code(), Some(1));
        wait_until("the server has ended", || !is_alive(server));
        assert_eq!(listing(), "");
        wait_until("the cgroup is gone", || !cgroup.exists());
    });
}

#[test]
fn a_killed_daemon_leaves_nothing() {
    in_a_namespace(|| {
        let mut interceptor = Interceptor::start(&EXEMPT);
        let (cgroup, server) = (cgroup_of(interceptor.daemon()), interceptor.server());
        let keeper = interceptor.keeper();
        interceptor.kill(&[interceptor.daemon()]);
        wait_until("the helper has ended", || !is_alive(server) && !is_alive(keeper));
        assert_eq!(listing(), "");
        wait_until("the cgroup is gone", || !cgroup.exists());
    });
}

#[test]
fn when_all_are_killed_at_once_no_rule_is_left_and_the_next_start_repairs_the_rest() {
    in_a_namespace(|| {
        let mut interceptor = Interceptor::start(&EXEMPT);
        let (cgroup, state) = (cgroup_of(interceptor.daemon()), state_file(&interceptor));
        let all = [interceptor.keeper(), interceptor.server(), interceptor.daemon()];
        interceptor.kill(&all);
        wait_until("the kernel has removed the table", || listing().is_empty());
        assert!(Interceptor::start(&EVERYTHING).stop().success());
        wait_until("the cgroup is gone", || !cgroup.exists());
        wait_until("the state file is gone", || !state.exists());
    });
}

#[test]
fn a_table_that_a_dead_run_left_without_an_owner_is_removed_and_others_are_not() {
    in_a_namespace(|| {
        let live = Sleeper::start();
        // The number of its helper has passed to another program meanwhile.
        run(&format!("nft add table inet shuttle-{}", live.id()));
        run("nft add table inet shuttle-4194304");
        let mut owner = Nft::open().unwrap();
        owner.apply(&compile(&Policy::default(), "shuttle-4194303", None)).unwrap();
        run("nft add table inet shuttle-mine");
        run("nft add table ip shuttle-4194304");
        let interceptor = Interceptor::start(&EVERYTHING);
        assert_eq!(interceptor.hello.not_repaired, [""; 0]);
        let repaired = interceptor.hello.repaired.clone();
        assert!(repaired.contains(&"nft table shuttle-4194304".to_owned()), "{repaired:?}");
        assert!(interceptor.stop().success());
        assert!(listing().contains("table inet shuttle-4194303 {"));
        drop(owner);
        // A child that another test is just starting may have it still, until it becomes another program.
        wait_until("the owned table is gone", || !listing().contains("shuttle-4194303"));
        assert_eq!(listing(), "table inet shuttle-mine {\n}\ntable ip shuttle-4194304 {\n}\n");
    });
}

#[test]
fn the_terminals_signals_do_not_end_the_helper_and_sigterm_does() {
    in_a_namespace(|| {
        let mut interceptor = Interceptor::start(&EXEMPT);
        let helper = [interceptor.keeper(), interceptor.server()];
        for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGQUIT, Signal::SIGTSTP] {
            for process in helper {
                kill(process, signal).unwrap();
            }
        }
        assert_eq!(interceptor.who_answers("10.1.2.3:7"), "far");
        assert!(helper.into_iter().all(is_alive));
        assert!(!listing().is_empty());
        kill(interceptor.keeper(), Signal::SIGTERM).unwrap();
        assert_eq!(interceptor.ended().code(), Some(1));
        assert_eq!(listing(), "");
        assert!(!helper.into_iter().any(is_alive));
    });
}

#[test]
fn a_helper_that_is_asked_nonsense_undoes_everything_and_ends() {
    for nonsense in ["\n", "{}\n", "{\"request\":\"run\",\"command\":\"id\"}\n", "\0\u{7f}\n"] {
        in_a_namespace(move || {
            let mut helper = Command::new(program());
            helper.arg("helper");
            let mut helper = PlainHelper::start(helper);
            let policy = both([include("10.0.0.0/8")]);
            let request = to_line(&Request::Apply { policy }).unwrap();
            assert_eq!(helper.ask(&request), r#"{"response":"done"}"#);
            assert!(!listing().is_empty());
            assert_eq!(helper.ask(nonsense.as_bytes()), "");
            assert_eq!(helper.stop().code(), Some(1));
            assert_eq!(listing(), "");
        });
    }
}

#[test]
fn a_policy_that_is_not_valid_is_refused_and_the_former_rules_stay() {
    in_a_namespace(|| {
        let mut helper = Command::new(program());
        helper.arg("helper");
        let mut helper = PlainHelper::start(helper);
        let mut policy = both([include("10.0.0.0/8")]);
        let mut ask =
            |policy: &Policy| helper.ask(&to_line(&Request::Apply { policy: policy.clone() }).unwrap());
        assert_eq!(ask(&policy), r#"{"response":"done"}"#);
        let before = listing();
        policy.redirect_v4 = Some(0);
        assert!(ask(&policy).contains("port 0 cannot be redirected to"));
        assert_eq!(listing(), before);
        assert!(helper.stop().success());
    });
}

#[test]
fn only_a_shuttle_that_called_the_helper_is_exempted() {
    in_a_namespace(|| {
        let mut helper = Command::new(program());
        helper.arg("helper");
        let mut helper = PlainHelper::start(helper);
        let refused = helper.ask(&to_line(&Request::ExemptCaller {}).unwrap());
        assert!(refused.contains("no running shuttle called this helper"), "{refused}");
        assert!(helper.stop().success());
    });
}

#[test]
fn an_empty_cgroup_that_a_dead_run_left_without_a_note_is_removed_and_others_are_not() {
    in_a_namespace(|| {
        let here = cgroup_of(nix::unistd::Pid::this());
        let [dead, other] = ["shuttle-4194304", "shuttle-mine"].map(|name| here.join(name));
        for directory in [&dead, &other] {
            std::fs::create_dir(directory).unwrap();
        }
        let interceptor = Interceptor::start(&EXEMPT);
        wait_until("the cgroup is gone", || !dead.exists());
        assert!(other.exists());
        assert!(interceptor.stop().success());
        std::fs::remove_dir(&other).unwrap();
    });
}
