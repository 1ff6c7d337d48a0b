//! One run from start to end: helper, link, session, rules.
