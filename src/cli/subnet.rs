//! Subnets as sshuttle's users write them: `10/8`, `1.2.3.4:80-90`, `[2001:db8::/32]:443`, `example.com`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::ops::RangeInclusive;

use firewall::policy::{Action, Rule};
use ipnet::IpNet;

/// One subnet as written: nothing is looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subnet {
    place: Place,
    width: Option<u8>,
    ports: Option<RangeInclusive<u16>>,
    /// What its writer may have meant instead.
    doubt: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Address(IpAddr),
    /// All its addresses.
    Host(String),
}

/// What [`Subnet::rules`] has to say beside the rules.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) rules: Vec<Rule>,
    pub(super) warning: Option<String>,
}

impl Subnet {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let invalid = |why: String| format!("{text:?} is not a subnet: {why}");
        let (place, width, ports) = split(text).map_err(|why| invalid(why.into()))?;
        let width = width.map(parse_width).transpose().map_err(invalid)?;
        let ports = ports.map(parse_ports).transpose().map_err(invalid)?.flatten();
        let doubt = if width.is_none() { doubt(place) } else { None };
        let place = parse_place(place, width.is_some()).map_err(invalid)?;
        if let (Place::Address(address), Some(width)) = (&place, width) {
            check_width(*address, width).map_err(invalid)?;
        }
        Ok(Self { place, width, ports, doubt })
    }

    /// The rules that this subnet stands for; a host name is looked up now.
    pub(super) fn rules(&self, action: Action) -> Result<Rules, String> {
        let (addresses, warning) = match &self.place {
            Place::Address(address) => (vec![*address], self.doubt.clone()),
            Place::Host(name) => {
                let addresses = look_up(name)?;
                let warning = self.check_host_width(name, &addresses)?;
                (addresses, warning)
            }
        };
        let rules = addresses
            .into_iter()
            .map(|address| {
                let width = self.width.unwrap_or(widest(address));
                let net = IpNet::new(address, width).map_err(|_| {
                    format!("{address}/{width}: the width is not between 0 and {}", widest(address))
                })?;
                Ok(Rule { action, net: net.trunc(), ports: self.ports.clone() })
            })
            .collect::<Result<_, String>>()?;
        Ok(Rules { rules, warning })
    }

    /// A width makes sense for a name's addresses of one family only.
    fn check_host_width(&self, name: &str, addresses: &[IpAddr]) -> Result<Option<String>, String> {
        let Some(width) = self.width else { return Ok(None) };
        if addresses.iter().any(IpAddr::is_ipv4) && addresses.iter().any(IpAddr::is_ipv6) {
            return Err(format!(
                "{name} has IPv4 and IPv6 addresses, so /{width} does not fit both; give addresses instead"
            ));
        }
        let many = addresses.len() > 1;
        Ok(many.then(|| format!("{name} has {} addresses; /{width} is applied to each", addresses.len())))
    }
}

/// Splits into place, width and ports.
fn split(text: &str) -> Result<(&str, Option<&str>, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        // [v6/width]:port, and for good measure [v6]/width:port.
        let (inner, rest) = rest.split_once(']').ok_or("the bracket is not closed")?;
        let (place, inner_width) = split_pair(inner, '/');
        let (rest, ports) = split_pair(rest, ':');
        return match (inner_width, rest.strip_prefix('/')) {
            (width, None) if rest.is_empty() => Ok((place, width, ports)),
            (None, Some(width)) => Ok((place, Some(width), ports)),
            _ => Err("expected [address/width]:port"),
        };
    }
    let (place, rest) = split_pair(text, '/');
    if let Some(rest) = rest {
        let (width, ports) = split_pair(rest, ':');
        return Ok((place, Some(width), ports));
    }
    // Without brackets, an IPv6 address takes all its colons.
    if text.matches(':').count() > 1 {
        return Ok((text, None, None));
    }
    let (place, ports) = split_pair(text, ':');
    Ok((place, None, ports))
}

fn split_pair(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(first, second)| (first, Some(second)))
}

fn parse_width(text: &str) -> Result<u8, String> {
    text.parse().map_err(|_| format!("/{text} is not a width (0 to 32, or 0 to 128 in IPv6)"))
}

fn check_width(address: IpAddr, width: u8) -> Result<(), String> {
    let widest = widest(address);
    if width > widest { Err(format!("/{width} is not between 0 and {widest}")) } else { Ok(()) }
}

fn widest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// Port 0 is any port, as with sshuttle.
fn parse_ports(text: &str) -> Result<Option<RangeInclusive<u16>>, String> {
    let port = |text: &str| text.parse::<u16>().map_err(|_| format!("{text:?} is not a port (1 to 65535)"));
    let (first, last) = split_pair(text, '-');
    let first = port(first)?;
    let last = last.map(port).transpose()?.unwrap_or(first);
    match (first, last) {
        (0, 0) => Ok(None),
        (first, last) if first > last => Err(format!("the range of ports {text} runs backwards")),
        (first, last) => Ok(Some(first..=last)),
    }
}

fn parse_place(text: &str, has_width: bool) -> Result<Place, String> {
    if text.contains(':') {
        let address: Ipv6Addr = text.parse().map_err(|_| format!("{text:?} is not an IPv6 address"))?;
        return Ok(Place::Address(address.into()));
    }
    if looks_numeric(text) {
        let address = if has_width { network_v4(text) } else { None }.or_else(|| classic_v4(text));
        return address
            .map(|address| Place::Address(address.into()))
            .ok_or_else(|| format!("{text} is not an IPv4 address"));
    }
    let name = text.strip_prefix("*.").unwrap_or(text);
    let valid = name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '-' | '_'));
    if name.is_empty() || name.starts_with(['.', '-']) || !valid {
        return Err(format!("{text:?} is neither an address nor a host name"));
    }
    Ok(Place::Host(text.to_owned()))
}

/// No top-level domain is a number: what ends in one is an address, or a wrong one.
fn looks_numeric(text: &str) -> bool {
    let last = text.rsplit('.').next().unwrap_or(text);
    last.starts_with(|c: char| c.is_ascii_digit())
        && (last.chars().all(|c| c.is_ascii_digit()) || part_v4(last).is_some())
}

/// With a width, missing bytes are zero: 172.16/12 is 172.16.0.0/12. (sshuttle reads 172.0.0.16/12 there,
/// which nobody means.)
fn network_v4(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    for (index, part) in text.split('.').enumerate() {
        *bytes.get_mut(index)? = u8::try_from(part_v4(part)?).ok()?;
    }
    Some(bytes.into())
}

/// 192.168.0 is one address to the resolver, and a network to most people.
fn doubt(text: &str) -> Option<String> {
    let bytes = text.split('.').filter(|part| part.parse::<u8>().is_ok()).count();
    let address = classic_v4(text).filter(|_| bytes < 4 && text.matches('.').count() + 1 == bytes)?;
    Some(format!(
        "{text} is taken for the one address {address}; a network has a width: {text}/{}",
        8 * bytes
    ))
}

/// The resolver's classic reading, inet_aton: the last part fills all bytes that are left, and parts may be
/// octal or hexadecimal.
fn classic_v4(text: &str) -> Option<Ipv4Addr> {
    let parts = text.split('.').map(part_v4).collect::<Option<Vec<u32>>>()?;
    let (last, leading) = parts.split_last()?;
    if leading.len() > 3 || leading.iter().any(|part| *part > 255) {
        return None;
    }
    let room = 32 - 8 * leading.len() as u32;
    if room < 32 && *last >= 1 << room {
        return None;
    }
    let high = leading.iter().zip([24, 16, 8]).fold(0, |address, (part, shift)| address | part << shift);
    Some(Ipv4Addr::from(high | last))
}

fn part_v4(part: &str) -> Option<u32> {
    let (digits, radix) = match part.strip_prefix("0x").or_else(|| part.strip_prefix("0X")) {
        Some(digits) => (digits, 16),
        None if part.len() > 1 && part.starts_with('0') => (part, 8),
        None => (part, 10),
    };
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

fn look_up(name: &str) -> Result<Vec<IpAddr>, String> {
    let found = (name, 0).to_socket_addrs().map_err(|error| {
        format!("cannot find the addresses of the host {name}: {}", reason_of(&error.to_string()))
    })?;
    let mut addresses: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    addresses.sort_unstable();
    addresses.dedup();
    if addresses.is_empty() { Err(format!("the host {name} has no address")) } else { Ok(addresses) }
}

/// The resolver's words without the standard library's preface.
fn reason_of(error: &str) -> &str {
    error.strip_prefix("failed to lookup address information: ").unwrap_or(error)
}

#[cfg(test)]
#[path = "subnet_tests.rs"]
mod tests;
