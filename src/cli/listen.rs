//! `-l`: where intercepted connections are accepted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Where to accept, by family; `None`: that family is not intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) v4: Option<SocketAddr>,
    pub(super) v6: Option<SocketAddr>,
}

impl Listen {
    /// Loopback, any port.
    pub(super) fn automatic() -> Self {
        Self {
            v4: Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0)),
            v6: Some(SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), 0)),
        }
    }

    /// Reads `[ip:]port`, `ip`, `[v6]:port`, two of them with a comma between. As with sshuttle, a family
    /// that is not named is not intercepted, and a port without address means 0.0.0.0.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut listen = Self { v4: None, v6: None };
        for part in text.split(',') {
            let address = parse_one(part.trim())
                .ok_or_else(|| format!("-l {text}: {part:?} is not [ip:]port, such as 127.0.0.1:12300"))?;
            let place = if address.is_ipv4() { &mut listen.v4 } else { &mut listen.v6 };
            if place.replace(address).is_some() {
                return Err(format!("-l {text}: only one address of each family"));
            }
        }
        Ok(listen)
    }
}

fn parse_one(part: &str) -> Option<SocketAddr> {
    if let Ok(port) = part.parse() {
        return Some(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
    }
    if let Ok(address) = part.parse() {
        return Some(address);
    }
    let bare = part.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(part);
    bare.parse::<IpAddr>().ok().map(|ip| SocketAddr::new(ip, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listen(v4: Option<&str>, v6: Option<&str>) -> Result<Listen, String> {
        Ok(Listen { v4: v4.map(|a| a.parse().unwrap()), v6: v6.map(|a| a.parse().unwrap()) })
    }

    #[test]
    fn every_form_is_read() {
        assert_eq!(Listen::parse("12300"), listen(Some("0.0.0.0:12300"), None));
        assert_eq!(Listen::parse("127.0.0.1:80"), listen(Some("127.0.0.1:80"), None));
        assert_eq!(Listen::parse("127.0.0.1"), listen(Some("127.0.0.1:0"), None));
        assert_eq!(Listen::parse("[::1]:80"), listen(None, Some("[::1]:80")));
        assert_eq!(Listen::parse("[::]"), listen(None, Some("[::]:0")));
        assert_eq!(Listen::parse("::1"), listen(None, Some("[::1]:0")));
        assert_eq!(Listen::parse("127.0.0.1:1, [::1]:2"), listen(Some("127.0.0.1:1"), Some("[::1]:2")));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "host:80", "1.2.3.4:65536", "1.2.3.4:", ",", "1,2", "::1,::2"] {
            assert!(Listen::parse(text).is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in r".{0,30}|[\[\]:0-9.,]{0,30}") {
            let _ = Listen::parse(&text);
        }
    }
}
