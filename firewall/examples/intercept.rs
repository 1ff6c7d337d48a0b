//! How a program uses this crate: it is its own root helper, and intercepts for as long as its stdin is open.
//!
//! `intercept [--exempt] PORT NETWORK...` redirects TCP connections to the networks to a local port. It prints
//! the helper's hello and `ready`; then each line `connect ADDRESS:PORT` that it reads shows who answers it.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::ExitCode;

use shuttle_firewall::client::{Helper, HelperError};
use shuttle_firewall::helper;
use shuttle_firewall::policy::{Action, Policy, Rule};

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == helper::SUBCOMMAND) {
        return helper::main();
    }
    let exempt = arguments.first().is_some_and(|first| first == "--exempt");
    arguments.drain(..usize::from(exempt));
    let Some(policy) = policy(&arguments) else {
        eprintln!("usage: intercept [--exempt] PORT NETWORK...");
        return ExitCode::from(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let intercepted = runtime.block_on(intercept(&policy, exempt));
    // Whatever still reads stdin must not keep us.
    runtime.shutdown_background();
    match intercepted {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("intercept: {error}");
            ExitCode::FAILURE
        }
    }
}

/// All networks to one port, IPv4 and IPv6 alike.
fn policy(arguments: &[String]) -> Option<Policy> {
    let (port, networks) = arguments.split_first()?;
    let port = Some(port.parse().ok()?);
    let include = |net: &String| Some(Rule { action: Action::Include, net: net.parse().ok()?, ports: None });
    let rules = networks.iter().map(include).collect::<Option<_>>()?;
    Some(Policy { rules, redirect_v4: port, redirect_v6: port, ..Policy::default() })
}

async fn intercept(policy: &Policy, exempt: bool) -> Result<(), HelperError> {
    let mut helper = Helper::start().await?;
    println!("{}", serde_json::to_string(helper.hello()).expect("a hello is JSON"));
    if exempt {
        eprintln!("exempt in {}", helper.exempt_caller().await?);
    }
    helper.apply(policy).await?;
    println!("ready");
    tokio::select! {
        died = helper.died() => return Err(died),
        () = obey_stdin() => {}
    }
    helper.stop().await
}

/// Ends with stdin.
async fn obey_stdin() {
    let obey = || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if let Some(address) = line.strip_prefix("connect ") {
                println!("{}", who_answers(address).unwrap_or_else(|error| error.to_string()));
            }
        }
    };
    tokio::task::spawn_blocking(obey).await.expect("no panic")
}

fn who_answers(address: &str) -> std::io::Result<String> {
    let mut line = String::new();
    BufReader::new(TcpStream::connect(address)?).read_line(&mut line)?;
    Ok(line.trim_end().to_owned())
}
