//! Whole command lines.

use std::collections::HashMap;

use firewall::policy::Action;

use super::*;
use crate::transport::SshRemote;

fn invoke(words: &[&str], environment: &[(&str, &str)]) -> Result<Invocation, Error> {
    let environment: HashMap<&str, &str> = environment.iter().copied().collect();
    parse(words.iter().map(OsString::from).collect(), |name| environment.get(name).map(OsString::from))
}

fn settings_with(words: &[&str], environment: &[(&str, &str)]) -> Settings {
    match invoke(words, environment) {
        Ok(Invocation::Run(settings)) => *settings,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn settings(words: &[&str]) -> Settings {
    settings_with(words, &[])
}

fn usage_error(words: &[&str]) -> String {
    match invoke(words, &[]) {
        Err(Error::Usage(text)) => text,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn ssh(host: &str) -> Remote {
    Remote::Ssh(SshRemote { user: None, host: host.into(), port: None })
}

fn nets(settings: &Settings, action: Action) -> Vec<String> {
    settings.rules.iter().filter(|rule| rule.action == action).map(|rule| rule.net.to_string()).collect()
}

#[test]
fn clap_finds_no_mistake_in_the_definition() {
    command().debug_assert();
}

#[test]
fn the_plain_case_has_the_documented_defaults() {
    let settings = settings(&["-r", "host", "10/8"]);
    assert_eq!(settings.remote, ssh("host"));
    assert_eq!(settings.name, "host");
    assert_eq!(settings.ssh_command, ["ssh"]);
    assert_eq!(nets(&settings, Action::Include), ["10.0.0.0/8"]);
    assert_eq!(settings.listen_v4, Some("127.0.0.1:0".parse().unwrap()));
    assert_eq!(settings.listen_v6, Some("[::1]:0".parse().unwrap()));
    assert_eq!(settings.method, Method::Auto);
    assert!(settings.ipv6 && !settings.daemonize && !settings.syslog);
    assert_eq!((settings.verbose, settings.pidfile, settings.notices), (0, None, vec![]));
}

#[test]
fn without_remote_it_is_this_machine() {
    assert_eq!(settings(&["10/8"]).remote, Remote::Local);
}

#[test]
fn short_options_may_be_clustered() {
    let settings = settings(&["-vvDr", "host", "0/0"]);
    assert_eq!((settings.verbose, settings.daemonize, settings.remote), (2, true, ssh("host")));
}

#[test]
fn options_and_subnets_may_be_mixed() {
    let settings = settings(&["10/8", "-r", "host", "11/8", "-x", "10.1/16", "-x", "10.2/16", "12/8"]);
    assert_eq!(nets(&settings, Action::Include), ["10.0.0.0/8", "11.0.0.0/8", "12.0.0.0/8"]);
    assert_eq!(nets(&settings, Action::Exclude), ["10.1.0.0/16", "10.2.0.0/16"]);
}

#[test]
fn a_subnet_given_twice_is_one_rule() {
    assert_eq!(settings(&["10/8", "10.0.0.0/8"]).rules.len(), 1);
}

#[test]
fn the_background_logs_to_syslog() {
    assert!(settings(&["-D", "10/8"]).syslog);
}

#[test]
fn the_pidfile_survives_a_change_of_directory() {
    let pidfile = settings(&["--pidfile", "run.pid", "10/8"]).pidfile.unwrap();
    assert_eq!(pidfile, std::env::current_dir().unwrap().join("run.pid"));
}

/// sshuttle#169: a blank at the end became an empty argument, which ssh took for the host.
#[test]
fn blanks_around_the_ssh_command_are_no_arguments() {
    let settings = settings(&["-e", " ssh -i 'my key'  ", "10/8"]);
    assert_eq!(settings.ssh_command, ["ssh", "-i", "my key"]);
}

#[test]
fn a_wrong_ssh_command_is_refused() {
    assert!(usage_error(&["-e", "ssh 'x", "10/8"]).contains("quote"));
    assert!(usage_error(&["-e", "  ", "10/8"]).contains("command"));
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let environment = [("SHUTTLE_ARGS", "-r other -v 'fd00::/8' --method nft"), ("SSHUTTLE_ARGS", "-D")];
    let settings = settings_with(&["-r", "host", "-v", "10/8"], &environment);
    assert_eq!(settings.remote, ssh("host"));
    assert_eq!((settings.verbose, settings.daemonize, settings.method), (2, false, Method::Nft));
    assert_eq!(nets(&settings, Action::Include), ["fd00::/8", "10.0.0.0/8"]);
}

#[test]
fn sshuttles_environment_serves_when_ours_is_not_set() {
    assert_eq!(settings_with(&["10/8"], &[("SSHUTTLE_ARGS", "-r other")]).remote, ssh("other"));
}

#[test]
fn an_open_quote_in_the_environment_names_the_variable() {
    let error = invoke(&["10/8"], &[("SHUTTLE_ARGS", "'-r")]).unwrap_err().to_string();
    assert!(error.contains("SHUTTLE_ARGS"), "{error}");
}

#[test]
fn verbs_do_not_see_the_environment() {
    let invocation = invoke(&["status", "--json"], &[("SHUTTLE_ARGS", "-r host 10/8")]).unwrap();
    assert_eq!(invocation, Invocation::Verb(Verb::Status { which: Default::default(), json: true }));
}

#[test]
fn only_a_first_word_is_a_verb() {
    assert!(matches!(invoke(&["stop"], &[]), Ok(Invocation::Verb(Verb::Stop { all: false, .. }))));
    assert!(matches!(invoke(&["cleanup"], &[]), Ok(Invocation::Verb(Verb::Cleanup))));
    // After an option, or with a dot, it is a host: looked up, and most likely not found.
    for words in [&["-v", "status"][..], &["status."]] {
        match invoke(words, &[]) {
            Ok(Invocation::Run(_)) | Err(Error::Environment(_)) => {}
            other => panic!("{words:?}: {other:?}"),
        }
    }
}

#[test]
fn an_argument_file_holds_one_argument_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arguments");
    let inner = directory.path().join("inner");
    std::fs::write(&inner, "11/8\n").unwrap();
    let text = format!("# comment\n-r\n  host  \n\n'10/8'\n  # another\n-x 10.1/16\n@{}\n", inner.display());
    std::fs::write(&path, text).unwrap();
    let settings = settings(&["-v", &format!("@{}", path.display())]);
    assert_eq!(settings.remote, ssh("host"));
    assert_eq!(nets(&settings, Action::Include), ["10.0.0.0/8", "11.0.0.0/8"]);
    assert_eq!(nets(&settings, Action::Exclude), ["10.1.0.0/16"]);
}

#[test]
fn argument_files_that_name_each_other_end() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("arguments");
    std::fs::write(&path, format!("@{}\n", path.display())).unwrap();
    assert!(usage_error(&[&format!("@{}", path.display())]).contains("deeply"));
    assert!(usage_error(&["@/no/such/file"]).contains("/no/such/file"));
}

#[test]
fn subnet_files_have_comments_and_many_lines() {
    let directory = tempfile::tempdir().unwrap();
    let (nets_file, excludes) = (directory.path().join("nets"), directory.path().join("excludes"));
    std::fs::write(&nets_file, "# office\n10/8\n\n fd00::/8 # v6\n11/8 12/8\n").unwrap();
    std::fs::write(&excludes, "10.1/16:22\n").unwrap();
    let (nets_file, excludes) = (nets_file.to_str().unwrap(), excludes.to_str().unwrap());
    let settings = settings(&["-s", nets_file, "-X", excludes, "-s", nets_file]);
    assert_eq!(nets(&settings, Action::Include), ["10.0.0.0/8", "fd00::/8", "11.0.0.0/8", "12.0.0.0/8"]);
    assert_eq!(nets(&settings, Action::Exclude), ["10.1.0.0/16"]);
}

#[test]
fn a_mistake_in_a_subnet_file_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("nets");
    std::fs::write(&path, "10/8\n10.0.0.0/99\n").unwrap();
    let error = usage_error(&["-s", path.to_str().unwrap()]);
    assert!(error.contains("nets, line 2") && error.contains("/99"), "{error}");
    assert!(usage_error(&["-s", "/no/such/file"]).contains("/no/such/file"));
}

#[test]
fn nothing_to_reach_is_refused() {
    assert!(usage_error(&["-r", "host"]).contains("at least one subnet"));
    assert!(usage_error(&[]).contains("at least one subnet"));
    assert!(usage_error(&["-x", "10/8"]).contains("at least one subnet"));
}

#[test]
fn a_family_that_is_off_is_left_alone_and_said_so() {
    let settings = settings(&["--disable-ipv6", "0/0", "::/0", "-x", "fd00::/8"]);
    assert_eq!((settings.listen_v6, settings.ipv6), (None, false));
    assert_eq!(settings.rules.len(), 1);
    assert!(matches!(&settings.notices[..], [Notice::Warning(text)] if text.contains("::/0")));
    assert!(usage_error(&["--disable-ipv6", "::/0"]).contains("::/0"));
    assert!(usage_error(&["--disable-ipv6", "-l", "[::1]:80", "0/0"]).contains("nothing"));
}

#[test]
fn listening_addresses_are_taken_as_given() {
    let settings = settings(&["-l", "0.0.0.0:1234,[::]:1235", "0/0"]);
    assert_eq!(settings.listen_v4, Some("0.0.0.0:1234".parse().unwrap()));
    assert_eq!(settings.listen_v6, Some("[::]:1235".parse().unwrap()));
}

#[test]
fn other_methods_are_refused_with_what_is_supported() {
    for method in ["nat", "tproxy", "pf", "ipfw", "windivert", "magic"] {
        let error = usage_error(&["--method", method, "10/8"]);
        assert!(error.contains(method) && error.contains("auto or nft"), "{error}");
    }
}

#[test]
fn options_of_later_versions_are_refused_by_name() {
    let error = usage_error(&["-vNHr", "host", "--dns"]);
    assert_eq!(
        error,
        "-H/--auto-hosts, -N/--auto-nets, --dns are not supported by this version of shuttle yet"
    );
    for words in [
        &["--ns-hosts", "1.1.1.1"][..],
        &["--to-ns", "1.1.1.1"],
        &["--seed-hosts", "a,b"],
        &["--remote-shell", "cmd"],
        &["--sudoers-no-modify"],
        &["--sudoers-user", "me"],
        &["-t", "0x02"],
        &["--user", "me"],
        &["--group", "us"],
        &["--namespace", "blue"],
        &["--namespace-pid", "1"],
    ] {
        let error = usage_error(&[words, &["10/8"]].concat());
        assert!(error.contains(words[0]) && error.contains("yet"), "{error}");
    }
}

#[test]
fn sshuttles_internals_are_ignored_with_a_remark() {
    let words = ["--python", "python3", "--no-latency-control", "--latency-buffer-size", "1", "--wrap", "9"];
    let settings = settings(&[&words[..], &["--no-cmd-delimiter", "--no-sudo-pythonpath", "10/8"]].concat());
    assert_eq!(settings.notices.len(), 6);
    assert!(settings.notices.iter().all(|notice| matches!(notice, Notice::Remark(_))));
}

#[test]
fn an_unknown_option_is_an_error() {
    assert!(matches!(invoke(&["--frobnicate", "10/8"], &[]), Err(Error::Clap(_))));
}

#[test]
fn the_version_is_told_whatever_else_is_given() {
    assert_eq!(invoke(&["-V"], &[]).unwrap(), Invocation::Version { detailed: false });
    assert_eq!(invoke(&["--version", "-v"], &[]).unwrap(), Invocation::Version { detailed: true });
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// The wrong exclude ends it before any name is looked up.
    #[test]
    fn no_command_line_makes_the_parser_panic(
        words in proptest::collection::vec(r"-{0,2}[a-zA-Z]{0,2}|[0-9./:\[\]]{0,12}|.{0,8}/", 0..6)
    ) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let words: Vec<&str> = words.into_iter().filter(|word| !word.starts_with('@')).collect();
        let _ = invoke(&[&["-x", "/"], &words[..]].concat(), &[]);
    }
}
