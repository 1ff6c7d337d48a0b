//! What shuttle intercepts (policy), how the kernel is told (ruleset, backends), and the root helper
//! that holds it.
//!
//! | module | its job |
//! |---|---|
//! | [`policy`] | what to intercept: includes, excludes, where to redirect; a plain value |
//! | [`precedence`] | which rule speaks first; equal verdicts gathered into runs |
//! | [`ruleset`] | the policy as tables, chains and rules: plain values |
//! | [`text`] | a ruleset as `nft list` would show it |
//! | [`nft`] | the backend: loads a ruleset over netlink, owned by the socket |
//! | [`conntrack`] | makes the kernel forget what it tracked before the rules |
//! | [`helper`] | the root process that holds it all and undoes it at the end |
//! | [`client`] | the caller's side of the helper |

#![warn(unreachable_pub)]

pub mod client;
pub mod conntrack;
pub mod helper;
pub mod nft;
pub mod policy;
pub mod precedence;
pub mod ruleset;
pub mod text;
