//! Moves bytes between the protocol and a link.
