//! How the helper becomes root, and what the user is told where it cannot do all that it should.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use shuttle_firewall::helper::protocol::{Request, to_line};
use support::interceptor::{Interceptor, program};
use support::plain::PlainHelper;
use support::processes::{cgroup_mount, cgroup_of, is_alive, parent, user};
use support::{both, in_a_namespace, include, listing, run, serve, wait_until, who_answers};
use tempfile::TempDir;

const NOBODY: u32 = 65534;

/// Runs a test in a mount namespace of its own as well.
fn among_own_mounts(test: impl FnOnce() + Send + 'static) {
    in_a_namespace(|| {
        unshare(CloneFlags::CLONE_NEWNS).expect("these tests run as root");
        run("mount --make-rprivate /");
        test();
    });
}

/// The program where everybody may run it.
fn public_program() -> (TempDir, PathBuf) {
    let directory = tempfile::Builder::new().prefix("shuttle-test-").tempdir_in("/tmp").unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = directory.path().join("intercept");
    // By another process: a child that another test is just starting would keep our copy open for writing.
    run(&format!("cp {} {}", program().display(), copy.display()));
    (directory, copy)
}

/// The program as a user who is nobody, without a terminal to ask for a password on.
fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setsid");
    command.arg("--wait").arg(program).args(["--exempt", "12300", "10.0.0.0/8"]);
    command.uid(NOBODY).gid(NOBODY);
    command
}

/// Lets nobody start the helper through sudo, as far as this mount namespace goes.
fn allow_nobody(program: &Path, more: &str) {
    run("mount -t tmpfs -o mode=755 none /etc/sudoers.d");
    let rule = format!("{more}nobody ALL=(root) NOPASSWD: {} helper\n", program.display());
    fs::write("/etc/sudoers.d/shuttle-test", rule).unwrap();
    fs::set_permissions("/etc/sudoers.d/shuttle-test", fs::Permissions::from_mode(0o440)).unwrap();
}

#[test]
fn a_plain_user_gets_root_for_the_helper_alone_through_sudo() {
    for sudo_options in ["", "Defaults use_pty\n", "Defaults !use_pty\n"] {
        among_own_mounts(move || {
            let _near = serve("near", "[::]:12300");
            let (_directory, program) = public_program();
            allow_nobody(&program, sudo_options);
            let mut interceptor = Interceptor::start_by(as_nobody(&program));
            assert_eq!(who_answers("10.1.2.3:7"), "near");
            assert_eq!(interceptor.who_answers("10.1.2.3:7"), "far");
            assert_eq!(user(interceptor.server()), 0);
            let sudo = parent(interceptor.keeper());
            assert_eq!(user(sudo), 0);
            let (cgroup, server) = (cgroup_of(interceptor.daemon()), interceptor.server());
            assert_ne!(cgroup, cgroup_of(server));
            assert!(interceptor.stop().success());
            assert!(!is_alive(server));
            assert_eq!(listing(), "");
            assert!(!cgroup.exists());
        });
    }
}

#[test]
fn a_killed_sudo_leaves_nothing() {
    among_own_mounts(|| {
        let (_directory, program) = public_program();
        allow_nobody(&program, "");
        let mut interceptor = Interceptor::start_by(as_nobody(&program));
        let server = interceptor.server();
        // Sudo may have put a process of its own between: both die.
        let mut sudo = parent(interceptor.keeper());
        while user(sudo) == 0 {
            let above = parent(sudo);
            kill(sudo, Signal::SIGKILL).unwrap();
            sudo = above;
        }
        assert_eq!(interceptor.ended().code(), Some(1));
        wait_until("the helper has ended", || !is_alive(server));
        assert_eq!(listing(), "");
    });
}

#[test]
fn a_user_whom_sudo_refuses_is_told_what_is_needed_and_why() {
    among_own_mounts(|| {
        run("mount -t tmpfs -o mode=755 none /etc/sudoers.d");
        let (_directory, program) = public_program();
        let refused = as_nobody(&program).output().unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(
            words.contains("needs root once, for the firewall rules, and sudo did not grant it"),
            "{words}"
        );
        assert!(words.contains(&format!("`{} helper`", program.display())), "{words}");
    });
}

#[test]
fn a_user_without_any_way_to_root_is_told_so() {
    in_a_namespace(|| {
        let (_directory, program) = public_program();
        let mut command = Command::new(&program);
        let refused =
            command.args(["12300", "10.0.0.0/8"]).env("PATH", "/nowhere").uid(NOBODY).output().unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(words.contains("none of sudo, doas and pkexec"), "{words}");
    });
}

#[test]
fn without_cgroups_the_rules_still_work_and_the_hello_says_what_does_not() {
    among_own_mounts(|| {
        let _near = serve("near", "[::]:12300");
        run(&format!("umount -l {}", cgroup_mount().display()));
        let interceptor = Interceptor::start(&["12300", "10.0.0.0/8"]);
        assert_eq!(interceptor.hello.cannot_exempt.as_deref(), Some("cgroup v2 is not mounted"));
        assert_eq!(who_answers("10.1.2.3:7"), "near");
        assert!(interceptor.stop().success());
        let refused = Command::new(program()).args(["--exempt", "12300", "10.0.0.0/8"]).output().unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(
            (refused.status.code(), words.contains("cgroup v2 is not mounted")),
            (Some(1), true),
            "{words}"
        );
        assert_eq!(listing(), "");
    });
}

#[test]
fn a_table_that_cannot_be_made_is_told_with_what_to_do() {
    // A user namespace has a root of its own, whose powers do not reach this network namespace.
    in_a_namespace(|| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]).arg(program()).args(["12300", "10.0.0.0/8"]);
        let refused = command.output().unwrap();
        let words = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1));
        assert!(words.contains("CAP_NET_ADMIN") && words.contains("--cap-add"), "{words}");
    });
}

#[test]
fn root_of_a_user_namespace_is_root_enough_for_its_own_network() {
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--net"]).arg(program()).arg("helper");
    let mut helper = PlainHelper::start(command);
    // Its socket's buffers cannot be made larger than this: about as many rules as fit, in no set.
    let room: usize = fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap().trim().parse().unwrap();
    let ports = 1..=u16::try_from(2 * room / 600).unwrap_or(30_000);
    let rules = ports.map(|port| include(&format!("10.0.0.0/8 port {port}")));
    let request = Request::Apply { policy: both(rules) };
    assert_eq!(helper.ask(&to_line(&request).unwrap()), r#"{"response":"done"}"#);
    assert!(helper.stop().success());
}
