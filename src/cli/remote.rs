//! `-r`: where the other side is.

use std::net::Ipv6Addr;

use crate::transport::{Remote, SshRemote};

/// Reads `[user@]host[:port]`, `[v6]:port`, `v6`, `exec:COMMAND`; nothing or `-` is this machine.
pub fn parse_remote(text: &str) -> Result<Remote, String> {
    // A line of an argument file may read `-r host`: the blank is part of the value then.
    let text = text.trim();
    if text.is_empty() || text == "-" {
        return Ok(Remote::Local);
    }
    if let Some(command) = text.strip_prefix("exec:") {
        let command = command.trim();
        if command.is_empty() {
            return Err("-r exec: wants a command, such as exec:'docker exec -i box sh'".into());
        }
        return Ok(Remote::Exec(command.into()));
    }
    parse_ssh(text).map(Remote::Ssh)
}

/// The one spelling of a remote, which [`parse_remote`] reads back.
pub fn remote_in_full(remote: &Remote) -> String {
    let Remote::Ssh(SshRemote { user, host, port }) = remote else { return remote.to_string() };
    let user = user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    match port {
        Some(port) if host.contains(':') => format!("{user}[{host}]:{port}"),
        Some(port) => format!("{user}{host}:{port}"),
        None => format!("{user}{host}"),
    }
}

fn parse_ssh(text: &str) -> Result<SshRemote, String> {
    let (login, place) = match text.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, text),
    };
    let user = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((_, password)) if !password.is_empty() => return Err(no_password()),
        Some((user, _)) if !user.is_empty() => Some(user.to_owned()),
        _ => None,
    };
    let (host, port) = host_and_port(place).map_err(|why| format!("-r {text}: {why}"))?;
    // ssh would take these for options.
    if host.starts_with('-') || user.as_deref().is_some_and(|user| user.starts_with('-')) {
        return Err(format!("-r {text}: neither a user nor a host starts with a dash"));
    }
    if host.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(format!("-r {text}: expected [user@]host[:port]"));
    }
    Ok(SshRemote { user, host: host.to_owned(), port })
}

fn host_and_port(place: &str) -> Result<(&str, Option<u16>), String> {
    if is_v6(place) {
        return Ok((place, None));
    }
    if let Some(rest) = place.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        if !is_v6(host) {
            return Err(format!("{host} is not an IPv6 address"));
        }
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, parse_port(port)?)),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(format!("{rest} after the bracket is not :port")),
        };
    }
    match place.split_once(':') {
        Some((_, rest)) if rest.contains(':') => Err("that is neither host:port nor an IPv6 address".into()),
        Some((host, port)) => Ok((host, parse_port(port)?)),
        None => Ok((place, None)),
    }
}

fn parse_port(port: &str) -> Result<Option<u16>, String> {
    if port.is_empty() {
        return Ok(None);
    }
    match port.parse() {
        Ok(port) if port != 0 => Ok(Some(port)),
        _ => Err(format!("{port} is not a port (1 to 65535)")),
    }
}

/// With an interface after `%`, as a link-local address needs.
fn is_v6(text: &str) -> bool {
    text.split_once('%').map_or(text, |(address, _)| address).parse::<Ipv6Addr>().is_ok()
}

fn no_password() -> String {
    "a password in -r would be shown to every user of this machine by ps; leave it out and ssh asks for it, \
     or use a key (ssh-copy-id), or, with the password in a file, -e 'sshpass -f FILE ssh'"
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>) -> Remote {
        Remote::Ssh(SshRemote { user: user.map(Into::into), host: host.into(), port })
    }

    #[test]
    fn every_form_is_read() {
        for (text, expected) in [
            ("host", ssh(None, "host", None)),
            (" host ", ssh(None, "host", None)),
            ("MyAlias", ssh(None, "MyAlias", None)),
            ("host:2222", ssh(None, "host", Some(2222))),
            ("host:", ssh(None, "host", None)),
            ("user@host", ssh(Some("user"), "host", None)),
            ("user:@host", ssh(Some("user"), "host", None)),
            ("@host", ssh(None, "host", None)),
            ("user@domain@host:22", ssh(Some("user@domain"), "host", Some(22))),
            ("10.0.0.1:22", ssh(None, "10.0.0.1", Some(22))),
            ("::1", ssh(None, "::1", None)),
            ("[::1]", ssh(None, "::1", None)),
            ("[::1]:22", ssh(None, "::1", Some(22))),
            ("user@[2001:db8::1]:22", ssh(Some("user"), "2001:db8::1", Some(22))),
            ("user@2001:db8::1", ssh(Some("user"), "2001:db8::1", None)),
            ("fe80::1%eth0", ssh(None, "fe80::1%eth0", None)),
            ("[fe80::1%eth0]:22", ssh(None, "fe80::1%eth0", Some(22))),
            ("exec:docker exec -i box sh", Remote::Exec("docker exec -i box sh".into())),
            ("exec: ssh a@b", Remote::Exec("ssh a@b".into())),
            ("", Remote::Local),
            ("-", Remote::Local),
        ] {
            assert_eq!(parse_remote(text), Ok(expected.clone()), "{text:?}");
            if expected != Remote::Local {
                let full = remote_in_full(&expected);
                assert_eq!(parse_remote(&full), Ok(expected), "{text:?} in full is {full:?}");
            }
        }
    }

    #[test]
    fn nonsense_is_refused_with_the_word_that_is_wrong() {
        for (text, word) in [
            ("host:port", "port"),
            ("host:0", "0"),
            ("host:65536", "65536"),
            ("[::1", "not closed"),
            ("[host]:22", "host"),
            ("[::1]22", "22"),
            ("a:b:c", "neither"),
            ("exec:", "command"),
            ("user@", "expected"),
            ("two words", "expected"),
        ] {
            let error = parse_remote(text).expect_err(text);
            assert!(error.contains(word), "{text:?}: {error}");
        }
    }

    #[test]
    fn a_password_is_refused_and_not_repeated() {
        let error = parse_remote("user:hunter2@host").unwrap_err();
        assert!(error.contains("ssh asks"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }

    #[test]
    fn nothing_that_ssh_would_take_for_an_option_passes() {
        for text in ["-oProxyCommand=id", "-oProxyCommand=id@host", "user@-oProxyCommand=id"] {
            assert!(parse_remote(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,60}") {
            let _ = parse_remote(&text);
        }

        #[test]
        fn no_text_of_its_own_letters_makes_the_parser_panic(text in r"[a\[\]:@%0-9.\-exc/ ]{0,24}") {
            let _ = parse_remote(&text);
        }
    }
}
