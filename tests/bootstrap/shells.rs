//! Shells that read our commands from a pipe, with all the noise that they make.

use std::os::unix::fs::symlink;
use std::time::Duration;

use shuttle::bootstrap::BootstrapError;
use shuttle::transport::Remote;

use crate::kit::{Agents, Trial, exec, litter, machine};

#[test]
fn an_agent_starts_on_this_machine_in_one_turn() {
    let agents = Agents::echo(&[machine()]);
    let (turns, place) = Trial::new(&agents).talks(&Remote::Local);
    assert_eq!(turns, 0);
    assert!(place.starts_with('/'), "{place}");
}

#[test]
fn an_agent_starts_through_each_shell_that_reads_commands_from_a_pipe() {
    let agents = Agents::echo(&[machine()]);
    for shell in
        ["sh", "bash", "dash", "busybox sh", "tcsh", "csh", "zsh", "ksh", "bash -i", "zsh -i", "tcsh -i"]
    {
        // An interactive one fights for the terminal of whoever runs the tests, so it gets none.
        let line = if shell.ends_with("-i") { format!("setsid {shell}") } else { shell.to_owned() };
        Trial::new(&agents).talks(&exec(line));
    }
}

#[test]
fn the_first_stage_runs_in_each_posix_shell() {
    let agents = Agents::echo(&[machine()]);
    for shell in ["bash", "dash", "busybox", "zsh", "ksh"] {
        let folder = tempfile::tempdir().unwrap();
        symlink(format!("/bin/{shell}"), folder.path().join("sh")).unwrap();
        let path = folder.path().display();
        let (_, place) =
            Trial::new(&agents).talks(&exec(format!("PATH={path}:$PATH XDG_RUNTIME_DIR={path} exec sh")));
        assert_eq!(place, path.to_string(), "{shell}");
        assert_eq!(litter(folder.path()), <[String; 0]>::default(), "{shell}");
    }
}

#[test]
fn a_command_that_never_stops_talking_is_given_up() {
    let agents = Agents::echo(&[machine()]);
    let trial = Trial { patience: Duration::from_millis(300), ..Trial::new(&agents) };
    let error = trial.fails(&exec("exec yes welcome"));
    assert!(matches!(&error, BootstrapError::Timeout { seen, .. } if seen.contains("welcome")), "{error}");
}

#[test]
fn a_shell_may_talk_before_echo_its_commands_and_print_prompts() {
    let agents = Agents::echo(&[machine()]);
    let noise = r"printf 'Last login: never\r\n\033[?2004h$ '; head -c 3000 /dev/urandom; echo >&2 motd";
    Trial::new(&agents).talks(&exec(format!("{noise}; sh -v")));
    Trial::new(&agents).talks(&exec(format!("{noise}; bash -vx")));
}

#[test]
fn fish_reads_all_of_a_pipe_before_it_begins_and_the_error_says_what_to_do() {
    let agents = Agents::echo(&[machine()]);
    let trial = Trial { patience: Duration::from_millis(500), ..Trial::new(&agents) };
    let error = trial.fails(&exec("fish"));
    assert!(matches!(error, BootstrapError::Timeout { typed: true, .. }), "{error}");
    assert!(error.to_string().contains("fish -c"), "{error}");
    Trial::new(&agents).talks(&exec("fish -c 'exec sh'"));
}

#[test]
fn a_command_that_is_no_shell_is_said_to_be_none_with_its_own_words() {
    let agents = Agents::echo(&[machine()]);
    let error = Trial::new(&agents).fails(&exec("echo no such container >&2; exit 3"));
    let BootstrapError::NoShell { status, words, .. } = &error else { panic!("{error}") };
    assert_eq!((status.as_str(), words.as_str()), ("exit status 3", "no such container"));
    let trial = Trial { patience: Duration::from_millis(500), ..Trial::new(&agents) };
    // What is sent comes back: the echo must not look like an answer.
    let error = trial.fails(&exec("cat"));
    let BootstrapError::Timeout { seen, .. } = &error else { panic!("{error}") };
    assert!(seen.contains("exec sh -c"), "{seen}");
}

#[test]
fn a_restricted_shell_is_named_as_such() {
    let agents = Agents::echo(&[machine()]);
    for shell in ["rbash", "bash -r"] {
        let error = Trial::new(&agents).fails(&exec(shell));
        assert!(matches!(error, BootstrapError::Restricted { .. }), "{shell}: {error}");
    }
}
