//! What to intercept: a plain value, checked, without a word on how.

use std::ops::RangeInclusive;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

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
pub struct Rule {
    /// Intercept or leave alone.
    pub action: Action,
    /// Addresses.
    pub net: IpNet,
    /// Ports; `None` is any port.
    pub ports: Option<RangeInclusive<u16>>,
}

/// What to intercept and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// In any order: narrowest ports win, then the longest prefix, then exclude.
    pub rules: Vec<Rule>,
    /// The local port that IPv4 connections are redirected to; `None`: IPv4 is not intercepted.
    pub redirect_v4: Option<u16>,
    /// The local port that IPv6 connections are redirected to; `None`: IPv6 is not intercepted.
    pub redirect_v6: Option<u16>,
}
