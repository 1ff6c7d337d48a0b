//! What shuttle's build script and `cargo xtask` share.

pub mod agents;
