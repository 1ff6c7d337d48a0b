//! What shuttle intercepts (policy), how (rulesets and backends), and the root helper that holds it.
