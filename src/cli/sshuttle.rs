//! sshuttle's options that shuttle has no use for, or not yet: known, so that they are never misread.

use clap::Args;

/// sshuttle's other options, as they were given.
#[derive(Clone, Debug, Default, Args)]
#[allow(missing_docs, reason = "each is described by sshuttle's own manual")]
pub struct SshuttleOptions {
    #[arg(short = 'H', long, hide = true)]
    auto_hosts: bool,
    #[arg(short = 'N', long, hide = true)]
    auto_nets: bool,
    #[arg(long, hide = true)]
    dns: bool,
    #[arg(long, hide = true)]
    ns_hosts: Option<String>,
    #[arg(long, hide = true)]
    to_ns: Option<String>,
    #[arg(long, hide = true)]
    seed_hosts: Option<String>,
    #[arg(long, hide = true)]
    remote_shell: Option<String>,
    #[arg(long, hide = true)]
    sudoers_no_modify: bool,
    #[arg(long, hide = true)]
    sudoers_user: Option<String>,
    #[arg(short = 't', long, hide = true)]
    tmark: Option<String>,
    #[arg(long, hide = true)]
    user: Option<String>,
    #[arg(long, hide = true)]
    group: Option<String>,
    #[arg(long, hide = true)]
    namespace: Option<String>,
    #[arg(long, hide = true)]
    namespace_pid: Option<String>,

    #[arg(long, hide = true)]
    python: Option<String>,
    #[arg(long, hide = true)]
    no_cmd_delimiter: bool,
    #[arg(long, hide = true)]
    no_latency_control: bool,
    #[arg(long, hide = true)]
    latency_buffer_size: Option<String>,
    #[arg(long, hide = true)]
    no_sudo_pythonpath: bool,
    #[arg(long, hide = true)]
    wrap: Option<String>,
}

impl SshuttleOptions {
    /// Those given that would change what is reached or how, and that this version cannot honour.
    pub(super) fn unsupported(&self) -> Vec<&'static str> {
        given([
            ("-H/--auto-hosts", self.auto_hosts),
            ("-N/--auto-nets", self.auto_nets),
            ("--dns", self.dns),
            ("--ns-hosts", self.ns_hosts.is_some()),
            ("--to-ns", self.to_ns.is_some()),
            ("--seed-hosts", self.seed_hosts.is_some()),
            ("--remote-shell", self.remote_shell.is_some()),
            ("--sudoers-no-modify", self.sudoers_no_modify),
            ("--sudoers-user", self.sudoers_user.is_some()),
            ("-t/--tmark", self.tmark.is_some()),
            ("--user", self.user.is_some()),
            ("--group", self.group.is_some()),
            ("--namespace", self.namespace.is_some()),
            ("--namespace-pid", self.namespace_pid.is_some()),
        ])
    }

    /// Those given that concern only how sshuttle itself is built.
    pub(super) fn meaningless(&self) -> Vec<&'static str> {
        given([
            ("--python", self.python.is_some()),
            ("--no-cmd-delimiter", self.no_cmd_delimiter),
            ("--no-latency-control", self.no_latency_control),
            ("--latency-buffer-size", self.latency_buffer_size.is_some()),
            ("--no-sudo-pythonpath", self.no_sudo_pythonpath),
            ("--wrap", self.wrap.is_some()),
        ])
    }
}

fn given<const N: usize>(options: [(&'static str, bool); N]) -> Vec<&'static str> {
    options.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect()
}
