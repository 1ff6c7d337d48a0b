//! What the program itself says and how it exits.

use std::process::{Command, Output};

fn shuttle(words: &[&str]) -> Output {
    let directory = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_shuttle"))
        .args(words)
        .env("SHUTTLE_RUNTIME_DIR", directory.path())
        .env_remove("SHUTTLE_ARGS")
        .env_remove("SSHUTTLE_ARGS")
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_wrong_command_line_is_status_2_and_says_whose_words_these_are() {
    for (words, said) in [
        (&["-r", "host"][..], "at least one subnet"),
        (&["--frobnicate", "10/8"], "--frobnicate"),
        (&["10.0.0.0/33"], "/33"),
        (&["-r", "host", "--dns", "0/0"], "--dns is not supported"),
        (&["stop", "--all", "name"], "--all"),
    ] {
        let output = shuttle(words);
        let errors = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {errors}");
        assert!(errors.starts_with("shuttle: ") && errors.contains(said), "{errors}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_name_that_is_not_found_is_status_99_so_that_a_supervisor_tries_again() {
    let output = shuttle(&["-r", "host", "no-such-host.invalid"]);
    assert_eq!(output.status.code(), Some(99));
    assert!(errors(&output).contains("no-such-host.invalid"), "{}", errors(&output));
}

/// sshuttle#598.
#[test]
fn a_pidfile_that_cannot_be_written_is_told_before_anything_starts() {
    for background in ["--syslog", "-D"] {
        let output = shuttle(&[background, "--pidfile", "/no/such/directory/pid", "10/8"]);
        assert_eq!(output.status.code(), Some(99));
        let errors = errors(&output);
        assert!(errors.contains("/no/such/directory/pid"), "{errors}");
        let mut told = errors.lines().filter(|line| line.contains("pidfile"));
        assert!(told.all(|line| line.matches("No such file").count() == 1), "{errors}");
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    for (words, said) in [
        (&["-h"][..], "-x, --exclude"),
        (&["--help"], "SHUTTLE_ARGS"),
        (&["status", "--help"], "--json"),
        (&["-V"], concat!("shuttle ", env!("CARGO_PKG_VERSION"))),
    ] {
        let output = shuttle(words);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains(said), "{words:?}: {text}");
        assert!(output.stderr.is_empty());
    }
}

#[test]
fn the_detailed_version_lists_this_machine_among_the_possible_remotes() {
    let text = String::from_utf8(shuttle(&["--version", "-v"]).stdout).unwrap();
    assert!(text.contains(std::env::consts::ARCH) && text.contains("sha256"), "{text}");
}

#[test]
fn cleanup_removes_what_a_killed_shuttle_left_and_nothing_else() {
    let program = env!("CARGO_BIN_EXE_shuttle");
    let script = format!(
        "nft add table inet shuttle-4000000 && nft add table inet mine && {program} cleanup && nft list tables"
    );
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new("unshare")
        .env("SHUTTLE_RUNTIME_DIR", directory.path())
        .args(["-n", "sh", "-c", &script])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // It may find cgroups of other tests' killed runs too.
    let tables: Vec<&str> = text.lines().filter(|line| line.contains("table")).collect();
    assert_eq!(
        tables,
        ["removed: nft table shuttle-4000000", "table inet mine"],
        "{text}{}",
        errors(&output)
    );
}

#[test]
fn without_a_shuttle_the_verbs_say_so() {
    for words in [&["status"][..], &["stop"], &["stop", "--all"], &["status", "--json"]] {
        let output = shuttle(words);
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(errors(&output).contains("no shuttle of yours is running"), "{}", errors(&output));
        let expected = if words.contains(&"--json") { "[]\n" } else { "" };
        assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    }
}
