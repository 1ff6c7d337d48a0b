//! A real ssh to a real sshd: login shells, start-up files, restricted accounts, refused logins.

use std::path::Path;

use lab::{HostPlan, Lab};
use shuttle::bootstrap::BootstrapError;
use shuttle::transport::{Remote, SshRemote};

use crate::kit::{Agents, Trial, eventually, machine, words};

/// A start from the lab's client.
fn on_client<T: Send>(lab: &Lab, cache: Option<&Path>, work: impl FnOnce(&Trial<'_>) -> T + Send) -> T {
    lab.client().inside(|| {
        let agents = Agents::echo(&[machine()]);
        let trial = Trial { ssh_command: words(&lab.ssh_command()), cache, ..Trial::new(&agents) };
        work(&trial)
    })
}

fn login(user: &str) -> Remote {
    Remote::Ssh(SshRemote { user: Some(user.into()), host: "server".into(), port: None })
}

#[test]
fn an_agent_starts_through_each_login_shell_with_noisy_start_up_files() {
    let lab = Lab::new().unwrap();
    let server = lab.server();
    let shells = [
        ("bash", "/bin/bash"),
        ("dash", "/bin/dash"),
        ("fish", "/usr/bin/fish"),
        ("tcsh", "/bin/tcsh"),
        ("csh", "/bin/csh"),
        ("zsh", "/bin/zsh"),
        ("ksh", "/bin/ksh"),
        ("ash", "/usr/local/bin/ash"),
    ];
    server.check("mkdir -p /run/bin && ln -s /bin/busybox /run/bin/ash").unwrap();
    for (user, shell) in shells {
        let shell = if user == "ash" { "/run/bin/ash" } else { shell };
        server.add_user(user, shell).unwrap();
        server
            .check(&format!(
                "cd /run/home/{user} && mkdir -p .config/fish && \
                 for file in .bashrc .zshenv .cshrc .tcshrc .profile .config/fish/config.fish; do \
                 echo 'echo Welcome to the machine; stty sane; echo warning >/dev/stderr' >$file; done; \
                 chown -R {user} ."
            ))
            .unwrap();
    }
    on_client(&lab, None, |trial| {
        for (user, _) in shells {
            assert_eq!(trial.talks(&login(user)).0, 0, "{user}");
        }
    });
}

#[test]
fn a_banner_and_a_message_of_the_day_are_skipped() {
    let lab = Lab::builder()
        .host(HostPlan::new("server").sshd_with(&["Banner /etc/os-release", "PrintMotd yes"]))
        .build()
        .unwrap();
    on_client(&lab, None, |trial| trial.talks(&login("root")));
}

#[test]
fn accounts_that_run_no_command_are_named_as_restricted() {
    let plan = HostPlan::new("server").sshd_with(&[
        "Match User sftp",
        "ForceCommand internal-sftp",
        "Match User only",
        "ForceCommand /usr/sbin/nologin",
        "Match all",
    ]);
    let lab = Lab::builder().host(plan).build().unwrap();
    let server = lab.server();
    for (user, shell) in [
        ("rbash", "/bin/rbash"),
        ("nologin", "/usr/sbin/nologin"),
        ("git", "/usr/bin/git-shell"),
        ("sftp", "/bin/sh"),
        ("only", "/bin/sh"),
    ] {
        server.add_user(user, shell).unwrap();
    }
    on_client(&lab, None, |trial| {
        for user in ["rbash", "nologin", "git", "sftp", "only"] {
            let error = trial.fails(&login(user));
            assert!(matches!(error, BootstrapError::Restricted { .. }), "{user}: {error}");
        }
    });
}

#[test]
fn refused_logins_and_unknown_hosts_are_told_apart_with_sshs_own_words() {
    let lab = Lab::new().unwrap();
    let client = |options: &str, remote: &Remote| {
        lab.client().inside(|| {
            let agents = Agents::echo(&[machine()]);
            let ssh_command = words(&format!("{} {options}", lab.ssh_command()));
            Trial { ssh_command, ..Trial::new(&agents) }.fails(remote)
        })
    };
    let error = client("-o UserKnownHostsFile=/dev/null", &login("root"));
    assert!(matches!(error, BootstrapError::HostKey { .. }), "{error}");
    assert!(error.to_string().contains("Host key verification failed"), "{error}");

    let error = client("-o PubkeyAuthentication=no", &login("root"));
    assert!(matches!(error, BootstrapError::Denied { .. }), "{error}");

    let at = |host: &str, port| Remote::Ssh(SshRemote { user: None, host: host.into(), port });
    let error = client("", &at("server", Some(9)));
    assert!(matches!(error, BootstrapError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    let error = client("", &at("no..such..host", None));
    assert!(matches!(error, BootstrapError::Unreachable { .. }), "{error}");

    let error = client("-o NoSuchOption=1", &login("root"));
    let BootstrapError::Ssh { status, words, .. } = &error else { panic!("{error}") };
    assert_eq!(status, "exit status 255");
    assert!(words.contains("nosuchoption"), "{words}");
}

#[test]
fn an_ssh_that_is_not_there_is_named() {
    let agents = Agents::echo(&[machine()]);
    let trial = Trial { ssh_command: words("/nonexistent/ssh"), ..Trial::new(&agents) };
    let error = trial.fails(&login("root"));
    assert!(error.to_string().contains("cannot run /nonexistent/ssh"), "{error}");
}

#[test]
fn a_terminal_or_a_command_in_the_users_configuration_does_not_spoil_the_pipe() {
    let lab = Lab::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("config");
    let labs = lab.ssh_config().display();
    std::fs::write(&config, format!("RequestTTY force\nRemoteCommand tmux attach\nInclude {labs}\n"))
        .unwrap();
    lab.client().inside(|| {
        let agents = Agents::echo(&[machine()]);
        let ssh_command = words(&format!("ssh -F {}", config.display()));
        Trial { ssh_command, ..Trial::new(&agents) }.talks(&login("root"));
    });
}

#[test]
fn a_server_behind_a_jump_host_is_reached_and_no_ssh_stays() {
    let lab = Lab::builder().behind_jump().build().unwrap();
    let children =
        |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    on_client(&lab, None, |trial| {
        trial.start_then(&login("root"), async |started| {
            let process = started.unwrap().link.process;
            let jump: u32 = children(process.pid()).trim().parse().expect("ssh runs another ssh");
            process.end().await.unwrap();
            eventually("the jump's ssh ends", || !Path::new(&format!("/proc/{jump}")).exists());
        });
    });
}
