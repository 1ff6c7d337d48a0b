//! Literal arguments become [`Settings`]: names looked up, files read, contradictions refused.

use std::path::{Path, PathBuf};

use firewall::policy::{Action, Rule};

use super::arguments::Arguments;
use super::listen::Listen;
use super::remote::parse_remote;
use super::subnet::Subnet;
use super::{Error, Method, Notice, Settings};

/// Checks what costs nothing first, so that a typing error is told before names are looked up.
pub(super) fn resolve(arguments: Arguments) -> Result<Settings, Error> {
    refuse_unsupported(&arguments)?;
    let remote = parse_remote(arguments.remote.as_deref().unwrap_or_default()).map_err(Error::Usage)?;
    let ssh_command = parse_ssh_command(&arguments.ssh_cmd)?;
    let method = parse_method(&arguments.method)?;
    let listen = match &arguments.listen {
        Some(text) => Listen::parse(text).map_err(Error::Usage)?,
        None => Listen::automatic(),
    };
    let listen = if arguments.disable_ipv6 { Listen { v6: None, ..listen } } else { listen };
    if listen.v4.is_none() && listen.v6.is_none() {
        return Err(Error::usage("-l names only IPv6 and --disable-ipv6 excludes it: nothing is left"));
    }
    let includes = subnets(&arguments.subnets, &arguments.subnets_from)?;
    let excludes = subnets(&arguments.exclude, &arguments.exclude_from)?;
    if includes.is_empty() {
        return Err(Error::usage(
            "at least one subnet is needed, such as 10.0.0.0/8, or 0/0 for everything; see shuttle --help",
        ));
    }

    let mut notices = remarks(&arguments);
    let mut rules = Vec::new();
    add_rules(&includes, Action::Include, &mut rules, &mut notices)?;
    add_rules(&excludes, Action::Exclude, &mut rules, &mut notices)?;
    let rules = without_unheard(rules, listen, &mut notices)?;

    Ok(Settings {
        name: remote.to_string(),
        remote,
        ssh_command,
        rules,
        listen_v4: listen.v4,
        listen_v6: listen.v6,
        ipv6: listen.v6.is_some(),
        method,
        verbose: arguments.verbose,
        daemonize: arguments.daemon,
        pidfile: arguments.pidfile.map(absolute).transpose()?,
        syslog: arguments.syslog || arguments.daemon,
        notices,
    })
}

fn refuse_unsupported(arguments: &Arguments) -> Result<(), Error> {
    match arguments.sshuttle.unsupported().as_slice() {
        [] => Ok(()),
        [one] => Err(Error::usage(format!("{one} is not supported by this version of shuttle yet"))),
        many => {
            Err(Error::usage(format!("{} are not supported by this version of shuttle yet", many.join(", "))))
        }
    }
}

fn remarks(arguments: &Arguments) -> Vec<Notice> {
    let meaningless = arguments.sshuttle.meaningless();
    meaningless
        .into_iter()
        .map(|name| Notice::Remark(format!("{name} is sshuttle's and has no meaning here: ignored")))
        .collect()
}

fn parse_ssh_command(text: &str) -> Result<Vec<String>, Error> {
    let words = shell_words::split(text)
        .map_err(|_| Error::usage(format!("-e: a quote is not closed in: {text}")))?;
    if words.is_empty() { Err(Error::usage("-e wants a command, such as 'ssh -i key'")) } else { Ok(words) }
}

fn parse_method(name: &str) -> Result<Method, Error> {
    match name.trim() {
        "auto" => Ok(Method::Auto),
        "nft" => Ok(Method::Nft),
        "nat" | "tproxy" => Err(Error::usage(format!(
            "--method {name} is not supported by this version of shuttle yet: use auto or nft"
        ))),
        "pf" | "ipfw" | "windivert" => Err(Error::usage(format!(
            "--method {name} belongs to another operating system: shuttle runs on Linux, with auto or nft"
        ))),
        _ => Err(Error::usage(format!("--method {name} is not known: use auto or nft"))),
    }
}

/// The subnets of the command line and of files.
fn subnets(texts: &[String], files: &[PathBuf]) -> Result<Vec<Subnet>, Error> {
    let mut subnets = Vec::new();
    for text in texts {
        subnets.push(Subnet::parse(text).map_err(Error::Usage)?);
    }
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::usage(format!("cannot read the subnet file {}: {error}", file.display()))
        })?;
        subnets_of_file(file, &text, &mut subnets)?;
    }
    Ok(subnets)
}

fn subnets_of_file(file: &Path, text: &str, subnets: &mut Vec<Subnet>) -> Result<(), Error> {
    for (number, line) in text.lines().enumerate() {
        let line = line.split_once('#').map_or(line, |(line, _comment)| line);
        for word in line.split_whitespace() {
            let subnet = Subnet::parse(word)
                .map_err(|why| Error::usage(format!("{}, line {}: {why}", file.display(), number + 1)))?;
            subnets.push(subnet);
        }
    }
    Ok(())
}

fn add_rules(
    subnets: &[Subnet],
    action: Action,
    rules: &mut Vec<Rule>,
    notices: &mut Vec<Notice>,
) -> Result<(), Error> {
    for subnet in subnets {
        let found = subnet.rules(action).map_err(Error::Environment)?;
        notices.extend(found.warning.map(Notice::Warning));
        for rule in found.rules {
            if !rules.contains(&rule) {
                rules.push(rule);
            }
        }
    }
    Ok(())
}

/// Drops the rules of a family that nobody listens for, and says so.
fn without_unheard(rules: Vec<Rule>, listen: Listen, notices: &mut Vec<Notice>) -> Result<Vec<Rule>, Error> {
    let is_v4 = |rule: &Rule| rule.net.addr().is_ipv4();
    let (heard, unheard): (Vec<_>, Vec<_>) = rules
        .into_iter()
        .partition(|rule| if is_v4(rule) { listen.v4.is_some() } else { listen.v6.is_some() });
    let dropped: Vec<String> = unheard
        .iter()
        .filter(|rule| rule.action == Action::Include)
        .map(|rule| rule.net.to_string())
        .collect();
    if !heard.iter().any(|rule| rule.action == Action::Include) {
        return Err(Error::usage(format!(
            "nothing is left to intercept: {} cannot be without its family; see -l and --disable-ipv6",
            dropped.join(", ")
        )));
    }
    if !dropped.is_empty() {
        notices.push(Notice::Warning(format!(
            "{} left alone: its family is switched off by --disable-ipv6 or not named by -l",
            dropped.join(", ")
        )));
    }
    Ok(heard)
}

/// The daemon leaves the current directory.
fn absolute(path: PathBuf) -> Result<PathBuf, Error> {
    std::path::absolute(&path)
        .map_err(|error| Error::Environment(format!("cannot tell where {} is: {error}", path.display())))
}
