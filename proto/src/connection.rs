//! The state machine of one session, as its driver sees it.
