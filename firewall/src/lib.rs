//! What shuttle intercepts (policy), how the kernel is told (ruleset, backends), and the root helper
//! that holds it.
//!
//! | module | its job |
//! |---|---|
//! | [`policy`] | what to intercept: includes, excludes, where to redirect; a plain value |
//! | [`precedence`] | which rule speaks first; equal verdicts gathered into runs |

pub mod policy;
pub mod precedence;
