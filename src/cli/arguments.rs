//! The command line word by word, before anything is looked up or checked against anything else.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueHint};

use super::sshuttle::SshuttleOptions;

const EXAMPLES: &str = "\
Examples:
  shuttle -r user@host 10.0.0.0/8          TCP to 10.0.0.0/8 goes through host
  shuttle -r host 0/0 ::/0 -x 192.168/16   everything but the local network
  shuttle -r host db.internal:5432         one service, by name and port
  shuttle -r exec:'docker exec -i box sh' 172.17/16
                                           any command that reaches a shell will do
  shuttle -D -r host -s nets.txt           in the background, subnets from a file
  shuttle status                           what runs, and how well
  shuttle stop                             end it

Exit status:
  0   ended as asked (Ctrl-C, SIGTERM, shuttle stop); with -D, it runs
  1   status or stop found no such shuttle
  2   the command line is wrong
  99  it did not work or broke off; the reason is on stderr, or in syslog with -D";

const LONG_EXAMPLES: &str = "\
Subnets:
  10.0.0.0/8  10/8  0/0  192.168.0.0/24    IPv4; with a width, missing bytes are 0
  1.2.3.4  10.1                            one address; 10.1 is 10.0.0.1, as for ping
  2001:db8::/32  ::/0                      IPv6
  10.0.0.0/8:443  1.2.3.4:8000-8080        only these ports
  [2001:db8::/32]:443                      the same in IPv6
  example.com  example.com:22              all addresses of a name, looked up at start
  The narrowest range of ports wins, then the longest width, then an exclude.

Arguments from elsewhere:
  @FILE          arguments from a file, one a line; lines that start with # are comments
  SHUTTLE_ARGS   environment: arguments that come before those of the command line, which win;
                 SSHUTTLE_ARGS is read when SHUTTLE_ARGS is not set

A host that is called like a verb (status, stop, cleanup) can be given as a subnet with a dot at its
end (status.) or after any option.";

/// Reach everything that a host you can log in to can reach
///
/// TCP connections of this machine to the given subnets are opened from that host. Nothing but a login and
/// /bin/sh is needed there.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "shuttle",
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    args_override_self = true,
    override_usage = "shuttle -r [user@]host[:port] SUBNET...\n       shuttle status|stop|cleanup",
    after_help = EXAMPLES,
    after_long_help = long_help(),
)]
pub struct Arguments {
    /// What to reach through the remote: 10.0.0.0/8, 0/0, ::/0, 1.2.3.4:443, [v6/width]:port, host names
    #[arg(value_name = "SUBNET[:PORT[-PORT]]")]
    pub subnets: Vec<String>,

    /// Leave these destinations alone (repeatable)
    #[arg(short = 'x', long, value_name = "SUBNET[:PORT[-PORT]]", help_heading = "What to reach")]
    pub exclude: Vec<String>,

    /// Read excludes from a file, one a line (repeatable)
    #[arg(short = 'X', long, value_name = "FILE", help_heading = "What to reach")]
    pub exclude_from: Vec<PathBuf>,

    /// Read subnets from a file, one a line (repeatable)
    #[arg(short = 's', long = "subnets", value_name = "FILE", help_heading = "What to reach")]
    pub subnets_from: Vec<PathBuf>,

    /// Leave IPv6 alone
    #[arg(long, help_heading = "What to reach")]
    pub disable_ipv6: bool,

    /// The host to reach it through: a name, an address or an alias of ssh's configuration, or
    /// exec:COMMAND. Without it, this machine itself, for trying things out
    #[arg(short = 'r', long, value_name = "[USER@]HOST[:PORT]|exec:COMMAND", value_hint = ValueHint::Hostname, help_heading = "Through whom")]
    pub remote: Option<String>,

    /// The ssh to use, with options: -e 'ssh -i key -J gateway'
    #[arg(short = 'e', long, value_name = "COMMAND", default_value = "ssh", help_heading = "Through whom")]
    pub ssh_cmd: String,

    /// How to intercept: auto or nft
    #[arg(long, value_name = "METHOD", default_value = "auto", help_heading = "How")]
    pub method: String,

    /// Where to accept intercepted connections; IPv4 and IPv6 with a comma between them. Without IP:
    /// 0.0.0.0. Without the option: a free port on 127.0.0.1 and on ::1
    #[arg(short = 'l', long, value_name = "[IP:]PORT", help_heading = "How")]
    pub listen: Option<String>,

    /// Go to the background once everything works; implies --syslog
    #[arg(short = 'D', long, help_heading = "How it runs")]
    pub daemon: bool,

    /// Write the process id to this file once everything works
    #[arg(long, value_name = "FILE", help_heading = "How it runs")]
    pub pidfile: Option<PathBuf>,

    /// Log to syslog instead of stderr
    #[arg(long, help_heading = "How it runs")]
    pub syslog: bool,

    /// Say more; -vv for every connection as well
    #[arg(short = 'v', long, action = ArgAction::Count, help_heading = "How it runs")]
    pub verbose: u8,

    /// Print the version; with -v also the platforms that the remote may have
    #[arg(short = 'V', long)]
    pub version: bool,

    /// sshuttle's other options.
    #[command(flatten)]
    pub sshuttle: SshuttleOptions,

    /// A verb instead of a run.
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

/// What can be asked instead of a run.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Show the shuttles that you run, their links and what goes through them
    Status {
        /// Which of them.
        #[command(flatten)]
        which: Selection,
        /// Print JSON: an array with one object for each
        #[arg(long)]
        json: bool,
    },
    /// End a shuttle that you run
    Stop {
        /// Which of them.
        #[command(flatten)]
        which: Selection,
        /// All of them
        #[arg(long, conflicts_with_all = ["selected", "remote"])]
        all: bool,
    },
    /// Remove what a killed shuttle may have left behind; harmless at any time
    Cleanup,
    /// The root part, started by shuttle itself
    #[command(hide = true)]
    Helper,
}

/// One of the running shuttles.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args)]
pub struct Selection {
    /// Its name or process id, when several run
    #[arg(value_name = "NAME|PID")]
    pub selected: Option<String>,
    /// Its remote, as it was given at start
    #[arg(short = 'r', long, value_name = "REMOTE", conflicts_with = "selected")]
    pub remote: Option<String>,
}

fn long_help() -> String {
    format!("{EXAMPLES}\n\n{LONG_EXAMPLES}")
}
