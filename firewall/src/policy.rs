//! What to intercept: a plain value, checked, without a word on how.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// The most rules that one policy may carry.
pub const MAX_RULES: usize = 100_000;

/// The most exempt address and port pairs that one policy may carry.
pub const MAX_EXEMPT: usize = 1_000;

/// Whether a rule's destinations are intercepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// They go through the session.
    Include,
    /// They are left alone.
    Exclude,
}

/// Destinations and what becomes of them.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Intercept or leave alone.
    pub action: Action,
    /// Addresses.
    pub net: IpNet,
    /// Ports; `None` is any port.
    pub ports: Option<RangeInclusive<u16>>,
}

/// What to intercept and where to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// In any order: narrowest ports win, then the longest prefix, then exclude.
    pub rules: Vec<Rule>,
    /// The local port that IPv4 connections are redirected to; `None`: IPv4 is not intercepted.
    pub redirect_v4: Option<u16>,
    /// The local port that IPv6 connections are redirected to; `None`: IPv6 is not intercepted.
    pub redirect_v6: Option<u16>,
    /// Left alone whatever the rules say: for a link to the far side that cannot be told by its cgroup.
    #[serde(default)]
    pub exempt: Vec<SocketAddr>,
}

/// What is wrong with a policy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// More than [`MAX_RULES`].
    #[error("the policy has {0} rules; at most {MAX_RULES} are taken: merge neighbouring subnets")]
    TooManyRules(usize),
    /// More than [`MAX_EXEMPT`].
    #[error("the policy exempts {0} addresses; at most {MAX_EXEMPT} are taken")]
    TooManyExempt(usize),
    /// A range that holds port 0 or no port.
    #[error("rule for {net}: {first}-{last} is not a range of ports from 1 to 65535")]
    Ports {
        /// The rule's addresses.
        net: IpNet,
        /// The range's start.
        first: u16,
        /// The range's end.
        last: u16,
    },
    /// Port 0 as the place to redirect to.
    #[error("port 0 cannot be redirected to")]
    RedirectToPortZero,
    /// Port 0 among the exempt pairs.
    #[error("{0} cannot be exempt: its port is 0")]
    ExemptPortZero(SocketAddr),
}

impl Policy {
    /// Checks everything that the types leave open.
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.rules.len() > MAX_RULES {
            return Err(PolicyError::TooManyRules(self.rules.len()));
        }
        if self.exempt.len() > MAX_EXEMPT {
            return Err(PolicyError::TooManyExempt(self.exempt.len()));
        }
        if self.redirect_v4 == Some(0) || self.redirect_v6 == Some(0) {
            return Err(PolicyError::RedirectToPortZero);
        }
        for Rule { net, ports, .. } in &self.rules {
            if let Some(ports) = ports
                && (*ports.start() == 0 || ports.is_empty())
            {
                return Err(PolicyError::Ports { net: *net, first: *ports.start(), last: *ports.end() });
            }
        }
        match self.exempt.iter().find(|address| address.port() == 0) {
            Some(address) => Err(PolicyError::ExemptPortZero(*address)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ports(ports: Option<RangeInclusive<u16>>) -> Policy {
        let net = "10.0.0.0/8".parse().unwrap();
        Policy { rules: vec![Rule { action: Action::Include, net, ports }], ..Policy::default() }
    }

    #[test]
    fn ports_must_be_a_range_without_zero() {
        assert_eq!(with_ports(None).validate(), Ok(()));
        assert_eq!(with_ports(Some(1..=65535)).validate(), Ok(()));
        assert!(matches!(with_ports(Some(0..=80)).validate(), Err(PolicyError::Ports { first: 0, .. })));
        #[expect(clippy::reversed_empty_ranges)]
        let reversed = with_ports(Some(90..=80));
        assert!(matches!(reversed.validate(), Err(PolicyError::Ports { first: 90, .. })));
    }

    #[test]
    fn port_zero_is_no_place_to_redirect_to_nor_to_exempt() {
        let policy = Policy { redirect_v6: Some(0), ..Policy::default() };
        assert_eq!(policy.validate(), Err(PolicyError::RedirectToPortZero));
        let address: SocketAddr = "10.0.0.1:0".parse().unwrap();
        let policy = Policy { exempt: vec![address], ..Policy::default() };
        assert_eq!(policy.validate(), Err(PolicyError::ExemptPortZero(address)));
    }

    #[test]
    fn the_number_of_rules_is_bounded() {
        let rule = with_ports(None).rules.remove(0);
        let policy = Policy { rules: vec![rule; MAX_RULES + 1], ..Policy::default() };
        assert_eq!(policy.validate(), Err(PolicyError::TooManyRules(MAX_RULES + 1)));
    }

    #[test]
    fn a_field_that_is_not_known_is_refused() {
        let known = serde_json::to_string(&with_ports(Some(80..=90))).unwrap();
        assert_eq!(serde_json::from_str::<Policy>(&known).unwrap(), with_ports(Some(80..=90)));
        let unknown = known.replacen("\"rules\"", "\"run\":\"id\",\"rules\"", 1);
        assert!(serde_json::from_str::<Policy>(&unknown).is_err());
    }
}
