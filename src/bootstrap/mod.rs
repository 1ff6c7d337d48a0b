//! Finds out the far platform, uploads the agent, starts it.
