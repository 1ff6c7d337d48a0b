//! The agents that this program carries, one an architecture.
