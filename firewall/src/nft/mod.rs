//! The nft backend: loads a [`Ruleset`] over netlink in one transaction, as a table that the kernel
//! removes when we die.
//!
//! | module | its job |
//! |---|---|
//! | `batch` | the messages of one transaction, in order, sent and answered as one |
//! | `expressions` | each match and verdict as nftables expressions |
//! | `sets` | networks as an anonymous interval set |
//! | `tables` | the table itself, owned by our socket; those that others have |
//! | `netlink` | the socket |

mod batch;
mod expressions;
pub(crate) mod netlink;
mod sets;
mod tables;

use std::ffi::CString;
use std::io;

use nftnl::{Chain, ChainType, Hook, MsgType};

use self::batch::Batch;
use self::netlink::Netlink;
pub use self::tables::FoundTable;
use self::tables::OwnTable;
use crate::policy::{self, Policy};
use crate::ruleset::{self, Cgroup, Match, Rule, Ruleset, Verdict};

/// What went wrong between us and the kernel, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// There is no netlink socket to be had.
    #[error(
        "cannot open a netfilter socket ({0}): this kernel may lack nf_tables; try `modprobe nf_tables` \
         (inside a container: on its host)"
    )]
    Socket(#[source] io::Error),
    /// Not root, or not root enough.
    #[error(
        "the kernel lets only root with CAP_NET_ADMIN change nftables: run as root or through sudo; a \
         container needs `--cap-add NET_ADMIN`"
    )]
    NotPermitted,
    /// The kernel knows no nf_tables at all.
    #[error(
        "this kernel has no nf_tables ({0}): try `modprobe nf_tables` (inside a container: on its host), or \
         a kernel built with CONFIG_NF_TABLES and CONFIG_NF_TABLES_INET"
    )]
    Unsupported(#[source] io::Error),
    /// One part of a transaction was refused, and with it the whole.
    #[error(
        "the kernel refused the firewall rules at `{what}` ({source}): it may lack a part of nf_tables; try \
         `modprobe -a nft_chain_nat nft_redir nft_fib_inet`"
    )]
    Refused {
        /// The message that was refused.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// More than the socket takes at once.
    #[error(
        "the firewall rules ({bytes} bytes) are more than this user may send to the kernel at once: raise \
         net.core.wmem_max, merge subnets, or run as root outside of a user namespace"
    )]
    TooLarge {
        /// The transaction's size.
        bytes: usize,
    },
    /// The kernel took or gave no messages.
    #[error("the kernel did not answer about nftables ({0})")]
    Netlink(#[from] io::Error),
}

/// What this kernel can do for us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features {
    /// The kernel removes the table when our socket closes, however we die.
    pub owned_tables: bool,
    /// Connections can be told apart by the cgroup of their maker.
    pub cgroups: bool,
}

/// One table of ours, and the socket that owns it.
pub struct Nft {
    netlink: Netlink,
    features: Features,
}

impl Nft {
    /// Opens the socket and finds out, by trying, what the kernel can do. Leaves nothing behind.
    pub fn open() -> Result<Nft, NftError> {
        let netlink = Netlink::open().map_err(NftError::Socket)?;
        // What most kernels can do comes first; those before 5.12 know no owned tables.
        let mut possible = [(true, true), (true, false), (false, true), (false, false)].into_iter();
        loop {
            let (owned_tables, cgroups) = possible.next().expect("the last of them returns");
            let features = Features { owned_tables, cgroups };
            match try_out(&netlink, features) {
                Ok(()) => return Ok(Nft { netlink, features }),
                Err(error) if possible.len() == 0 => return Err(error),
                Err(_) => {}
            }
        }
    }

    /// What this kernel can do.
    pub fn features(&self) -> Features {
        self.features
    }

    /// Makes the kernel's rules those of `ruleset`, all at once: either every rule is new, or every rule
    /// is as before.
    pub fn apply(&mut self, ruleset: &Ruleset) -> Result<(), NftError> {
        load(&self.netlink, ruleset, self.features.owned_tables, Afterwards::Keep)
    }

    /// Removes a table: ours, or one that nobody owns. It is no fault if there is none.
    pub fn remove(&mut self, table: &str) -> Result<(), NftError> {
        let mut batch = Batch::new();
        batch.add(&OwnTable::new(table, false), MsgType::Del, || format!("delete table inet {table}"));
        match batch.commit(&self.netlink) {
            Err(NftError::Refused { source, .. } | NftError::Unsupported(source))
                if source.kind() == io::ErrorKind::NotFound =>
            {
                Ok(())
            }
            done => done,
        }
    }

    /// All inet tables of this network namespace.
    pub fn tables(&self) -> Result<Vec<FoundTable>, NftError> {
        tables::list(&self.netlink)
    }
}

/// Whether a loaded table stays.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    Keep,
    /// Deletes it within the same transaction: nobody ever sees it.
    Delete,
}

/// Loads rules of every kind that we need, and deletes them in the same transaction.
fn try_out(netlink: &Netlink, features: Features) -> Result<(), NftError> {
    let mut trial = Policy { redirect_v4: Some(1), ..Policy::default() };
    for net in ["192.0.2.0/25", "198.51.100.0/24"] {
        let net = net.parse().expect("a literal network");
        trial.rules.push(policy::Rule { action: policy::Action::Include, net, ports: None });
    }
    let cgroup = Cgroup { path: String::new(), level: 1, id: 1 };
    let name = format!("shuttle-trial-{}", std::process::id());
    let ruleset = ruleset::compile(&trial, &name, features.cgroups.then_some(&cgroup));
    load(netlink, &ruleset, features.owned_tables, Afterwards::Delete)
}

/// One transaction: table and chains are made unless they are there, then emptied and filled.
fn load(netlink: &Netlink, ruleset: &Ruleset, owned: bool, afterwards: Afterwards) -> Result<(), NftError> {
    let mut batch = Batch::new();
    let table = OwnTable::new(&ruleset.table, owned);
    batch.add(&table, MsgType::Add, || format!("add table inet {}", ruleset.table));
    let chains: Vec<Chain<'_>> = ruleset.chains.iter().map(|chain| kernel_chain(chain, &table)).collect();
    for (chain, of) in chains.iter().zip(&ruleset.chains) {
        batch.add(chain, MsgType::Add, || format!("add chain inet {} {}", ruleset.table, of.name));
        // A rule with neither handle nor expressions stands for all rules of its chain.
        batch.add(&nftnl::Rule::new(chain), MsgType::Del, || format!("flush chain {}", of.name));
    }
    for (chain, of) in chains.iter().zip(&ruleset.chains) {
        for rule in &of.rules {
            add_rule(&mut batch, rule, chain);
        }
    }
    if afterwards == Afterwards::Delete {
        batch.add(&table, MsgType::Del, || format!("delete table inet {}", ruleset.table));
    }
    batch.commit(netlink)
}

fn kernel_chain<'a>(chain: &ruleset::Chain, table: &'a OwnTable) -> Chain<'a> {
    let mut made = Chain::new(c_string(chain.name), table.as_nftnl());
    if let Some(ruleset::Hook::Output { priority }) = chain.hook {
        made.set_type(ChainType::Nat);
        made.set_hook(Hook::Out, priority);
        made.set_policy(nftnl::Policy::Accept);
    }
    made
}

/// Adds a rule, and before it the set that it looks into.
fn add_rule(batch: &mut Batch, rule: &Rule, chain: &Chain<'_>) {
    let mut made = nftnl::Rule::new(chain);
    for test in &rule.matches {
        match test {
            Match::Tcp => expressions::protocol(&mut made, true),
            Match::NotTcp => expressions::protocol(&mut made, false),
            Match::NotInitialSyn => expressions::not_initial_syn(&mut made),
            Match::LocalDestination => expressions::local_destination(&mut made),
            Match::Cgroup(cgroup) => expressions::cgroup(&mut made, cgroup),
            Match::Ports(ports) => expressions::ports(&mut made, ports),
            Match::Destination(nets) => match nets.as_slice() {
                [net] => expressions::network(&mut made, net),
                nets => {
                    let set = sets::add(batch, nets, chain.get_table());
                    expressions::networks(&mut made, nets, &set);
                }
            },
        }
    }
    match rule.verdict {
        Verdict::Accept => made.add_expr(&nftnl::expr::Verdict::Accept),
        Verdict::Return => made.add_expr(&nftnl::expr::Verdict::Return),
        Verdict::Jump(chain) => made.add_expr(&nftnl::expr::Verdict::Jump { chain: c_string(chain) }),
        Verdict::Redirect(port) => expressions::redirect(&mut made, port),
    }
    batch.add(&made, MsgType::Add, || rule.to_string());
}

/// Names are ours, of letters, digits and dashes.
fn c_string(name: &str) -> CString {
    CString::new(name).expect("a name without a NUL")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As on a kernel before 5.12.
    fn without_owned_tables() -> Nft {
        let netlink = Netlink::open().unwrap();
        Nft { netlink, features: Features { owned_tables: false, cgroups: true } }
    }

    fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
        let thread = std::thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).expect("these tests run as root");
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    }

    fn ruleset() -> Ruleset {
        let net = "10.0.0.0/8".parse().unwrap();
        let rules = vec![policy::Rule { action: policy::Action::Include, net, ports: None }];
        ruleset::compile(&Policy { rules, redirect_v4: Some(1), ..Policy::default() }, "shuttle-1", None)
    }

    #[test]
    fn an_owned_table_goes_with_its_socket_and_another_stays_until_it_is_removed() {
        in_a_namespace(|| {
            let mut observer = Nft::open().unwrap();
            let mut owner = Nft::open().unwrap();
            owner.apply(&ruleset()).unwrap();
            let name = "shuttle-1".to_owned();
            assert_eq!(observer.tables().unwrap(), [FoundTable { name: name.clone(), owned: true }]);
            assert!(observer.remove("shuttle-1").is_err(), "it belongs to somebody else");
            drop(owner);
            assert_eq!(observer.tables().unwrap(), []);

            let mut maker = without_owned_tables();
            maker.apply(&ruleset()).unwrap();
            maker.apply(&ruleset()).unwrap();
            drop(maker);
            assert_eq!(observer.tables().unwrap(), [FoundTable { name, owned: false }]);
            observer.remove("shuttle-1").unwrap();
            assert_eq!(observer.tables().unwrap(), []);
            observer.remove("shuttle-1").unwrap();
        });
    }
}
