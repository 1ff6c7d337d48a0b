//! Other sides that lack something: a place to execute, a tool, Linux; and what is remembered of them.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use shuttle::bootstrap::{BootstrapError, Form};
use shuttle::transport::Remote;
use tempfile::TempDir;

use crate::kit::{Agents, Trial, exec, in_own_mounts, litter, machine};

/// A turn is spent on waiting for a typed shell; what is more was spent on the dialogue.
const TYPED: u32 = 1;

#[test]
fn a_home_that_is_read_only_and_a_tmp_that_may_not_execute_leave_other_places() {
    let agents = Agents::echo(&[machine()]);
    let remote = in_own_mounts(
        "for place in /dev/shm /tmp /run; do mount -t tmpfs -o noexec none $place; done
        mount -t tmpfs -o ro none /root; export HOME=/root; unset XDG_RUNTIME_DIR TMPDIR",
    );
    assert_eq!(Trial::new(&agents).talks(&remote), (TYPED, "/var/tmp".into()));
}

#[test]
fn when_nothing_may_execute_the_error_lists_what_was_tried_and_no_file_stays() {
    let agents = Agents::echo(&[machine()]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let remote = in_own_mounts(&format!(
        "mount --bind {path} {path}; mount -o remount,bind,noexec {path}; export TMPDIR={path}
        for place in /dev/shm /run /var/tmp /root; do mount -t tmpfs -o noexec none $place; done
        mount --bind {path} /tmp; mount -o remount,bind,noexec /tmp
        unset XDG_RUNTIME_DIR; export HOME=/root; cd /proc",
    ));
    let error = Trial::new(&agents).fails(&remote);
    let BootstrapError::NowhereToExecute { tried, .. } = &error else { panic!("{error}") };
    for place in [
        "/dev/shm (may not execute)",
        "/tmp (may not execute)",
        "/root (may not execute)",
        ". (cannot write)",
    ] {
        assert!(tried.contains(place), "{place} is not in {tried}");
    }
    assert!(tried.contains(&format!("{path} (")), "{tried}");
    assert_eq!(litter(folder.path()), <[String; 0]>::default());
}

/// A PATH with dash, these tools of busybox, and nothing else.
fn bare(tools: &[&str]) -> (TempDir, Remote) {
    let folder = tempfile::tempdir().unwrap();
    symlink("/bin/dash", folder.path().join("sh")).unwrap();
    for tool in tools {
        symlink("/bin/busybox", folder.path().join(tool)).unwrap();
    }
    // The echoing agent needs two more by their full names.
    let remote = exec(format!("exec env -i PATH={} HOME=/ sh", folder.path().display()));
    (folder, remote)
}

#[test]
fn a_machine_without_gzip_head_and_mktemp_is_served_and_remembered() {
    let agents = Agents::of(
        &[machine()],
        crate::kit::ECHO.replace("rm ", "/bin/rm ").replace("cat", "/bin/cat").as_bytes(),
    );
    let cache = tempfile::tempdir().unwrap();
    let (_folder, remote) = bare(&["uname", "chmod", "rm", "wc", "dd"]);
    let trial = Trial { cache: Some(cache.path()), ..Trial::new(&agents) };
    trial.start_then(&remote, async |started| {
        let started = started.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(started.platform.form, Form::Raw);
        assert_eq!(started.platform.turns, TYPED + 1);
        crate::kit::echoes(started).await;
    });
    assert_eq!(trial.talks(&remote).0, TYPED, "the second visit knows");
    // busybox's own head reads ahead.
    let (_folder, remote) = bare(&["uname", "chmod", "rm", "wc", "head", "gzip"]);
    assert_eq!(trial.talks(&remote).0, TYPED);
}

#[test]
fn a_missing_tool_is_named() {
    let agents = Agents::echo(&[machine()]);
    for (tools, missing) in [
        (&["chmod", "rm", "wc", "head"][..], "uname"),
        (&["uname", "chmod", "rm", "head"], "wc"),
        (&["uname", "chmod", "rm", "wc"], "head or dd"),
    ] {
        let (_folder, remote) = bare(tools);
        let error = Trial::new(&agents).fails(&remote);
        let BootstrapError::MissingTool { tool, .. } = &error else { panic!("{error}") };
        assert_eq!(tool, missing);
    }
}

/// A remote whose `uname` says what its file says.
fn pretender(folder: &Path, system: &str) -> Remote {
    let uname = folder.join("uname");
    fs::write(&uname, "#!/bin/sh\ncat \"${0%/*}/system\"\n").unwrap();
    fs::set_permissions(&uname, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(folder.join("system"), system).unwrap();
    let folder = folder.display();
    exec(format!("PATH={folder}:$PATH XDG_RUNTIME_DIR={folder}/run exec sh"))
}

#[test]
fn what_was_learned_saves_a_turn_and_is_replaced_when_it_is_no_longer_true() {
    let agents = Agents::echo(&[machine(), "riscv64"]);
    let (cache, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let trial = Trial { cache: Some(cache.path()), ..Trial::new(&agents) };
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let run_path = run.display().to_string();

    let remote = pretender(folder.path(), "Linux riscv64");
    assert_eq!(trial.talks(&remote), (TYPED + 1, run_path.clone()), "nothing is known");
    assert_eq!(trial.talks(&remote), (TYPED, run_path.clone()), "the machine is known");

    pretender(folder.path(), &format!("Linux {}", machine()));
    assert_eq!(trial.talks(&remote), (TYPED + 1, run_path.clone()), "it is another machine now");
    fs::remove_dir(&run).unwrap();
    let (turns, place) = trial.talks(&remote);
    assert_eq!(turns, TYPED, "another place costs no turn");
    assert_ne!(place, run_path);
    fs::create_dir(&run).unwrap();
    assert_eq!(trial.talks(&remote).1, place, "the place is known");
}

#[test]
fn other_systems_and_unknown_machines_are_named() {
    let agents = Agents::echo(&[machine(), "riscv64"]);
    let folder = tempfile::tempdir().unwrap();
    let error = Trial::new(&agents).fails(&pretender(folder.path(), "Darwin arm64"));
    assert!(matches!(&error, BootstrapError::NotLinux { system, .. } if system == "Darwin arm64"), "{error}");
    let error = Trial::new(&agents).fails(&pretender(folder.path(), "Linux s390x"));
    assert!(matches!(error, BootstrapError::NoAgent { .. }), "{error}");
    let text = error.to_string();
    assert!(
        text.contains("s390x") && text.contains("riscv64") && text.contains("cargo xtask agents"),
        "{text}"
    );
}

#[test]
fn an_agent_that_is_no_program_for_this_machine_is_said_to_be_and_does_not_stay() {
    let agents = Agents::of(&[machine()], b"\x7fELF\x02\x01\x01 and no more");
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "dash"] {
        let remote = exec(format!(
            "mkdir -p {path}/bin; ln -sf /bin/{shell} {path}/bin/sh; PATH={path}/bin:$PATH XDG_RUNTIME_DIR={path} exec sh",
            path = folder.path().display()
        ));
        let error = Trial::new(&agents).fails(&remote);
        let told = matches!(error, BootstrapError::Unstarted { .. } | BootstrapError::Ended { .. });
        assert!(told && error.to_string().contains("Exec format error"), "{shell}: {error}");
        assert_eq!(litter(folder.path()), <[String; 0]>::default(), "{shell}");
    }
}

#[test]
fn a_start_that_is_given_up_takes_its_file_along() {
    let agents = Agents::echo(&["none of ours"]);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("run")).unwrap();
    let path = folder.path().display();
    for shell in ["dash", "bash", "busybox", "zsh", "ksh"] {
        let remote = exec(format!(
            "ln -sf /bin/{shell} {path}/sh; PATH={path}:$PATH XDG_RUNTIME_DIR={path}/run exec sh"
        ));
        // The signal that ends the stage must not hit the rm with which the stage ends: that takes a few goes.
        for _ in 0..20 {
            Trial::new(&agents).fails(&remote);
            assert_eq!(litter(&folder.path().join("run")), <[String; 0]>::default(), "{shell}");
        }
    }
}
