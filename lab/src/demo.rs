//! The demonstration: the real shuttle through a real sshd to a page that cannot be reached otherwise.

use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use lab::{Host, INNER_V4, INNER_V6, Lab, PAGE};

/// What the demonstration found to be otherwise than promised.
type Promise = Result<(), Box<dyn std::error::Error>>;

const PICTURE: &str = "
    client ───────────────── server ───────────────── inner
    203.0.113.1              203.0.113.2              10.20.0.2
    2001:db8:113::1          a real sshd              fd20::2, a web page
";

/// Starts and stops shuttle on the client; any step that goes otherwise than said is an error.
pub fn run(shuttle: &Path) -> Promise {
    step("Build a private internet of three hosts; the client does not reach the inner network.");
    let lab = Lab::new()?;
    println!("{PICTURE}");
    let pages =
        [format!("http://{}/", lab.inner().address_v4()), format!("http://[{}]/", lab.inner().address_v6())];
    for page in &pages {
        expect_no_page(lab.client(), page)?;
    }

    step("Start shuttle on the client; an ssh login to the server is all it has.");
    let login = lab.login();
    println!("    $ shuttle -e '{}' -r {login} {INNER_V4} {INNER_V6}", lab.ssh_command());
    let mut running = Running(
        lab.client()
            .command(shuttle)
            .args(["-e", &lab.ssh_command(), "-r", login, INNER_V4, INNER_V6])
            .stdin(Stdio::null())
            .spawn()?,
    );
    wait_for_page(lab.client(), &pages[0], &mut running)?;

    step("Fetch the page from the inner network, over IPv4 and IPv6.");
    for page in &pages {
        println!("    $ curl {page}");
        let text = fetch(lab.client(), page)?.ok_or_else(|| format!("{page} could not be fetched"))?;
        if text != PAGE {
            return Err(format!("{page} gave {text:?}").into());
        }
        print!("      {text}");
    }

    step("Ask the running shuttle how it is doing.");
    println!("    $ shuttle status");
    let status = lab.client().command(shuttle).arg("status").output()?;
    if !status.status.success() {
        return Err(format!("shuttle status: {}", String::from_utf8_lossy(&status.stderr).trim()).into());
    }
    for line in String::from_utf8_lossy(&status.stdout).lines() {
        println!("      {line}");
    }

    step("Stop it. The same page cannot be fetched any more, and no firewall rule is left.");
    println!("    $ shuttle stop");
    let stop = lab.client().command(shuttle).arg("stop").status()?;
    let end = running.0.wait()?;
    if !stop.success() || !end.success() {
        return Err(format!("shuttle stop: {stop}; shuttle itself: {end}").into());
    }
    for page in &pages {
        expect_no_page(lab.client(), page)?;
    }
    let rules = lab.client().check("nft list ruleset")?;
    if !rules.trim().is_empty() {
        return Err(format!("firewall rules are left:\n{rules}").into());
    }
    println!("\nEverything went as said.");
    Ok(())
}

/// `shuttle` beside this very program, where cargo puts both.
pub fn beside_us() -> Result<PathBuf, Box<dyn std::error::Error>> {
    let shuttle = std::env::current_exe()?.with_file_name("shuttle");
    if !shuttle.exists() {
        return Err(format!("{} does not exist: run `cargo build` first", shuttle.display()).into());
    }
    Ok(shuttle)
}

/// Is ended with the demonstration, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail when it has ended already, as it should.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn step(text: &str) {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NUMBER: AtomicU32 = AtomicU32::new(1);
    println!("\n{}. {text}", NUMBER.fetch_add(1, Ordering::Relaxed));
}

fn fetch(host: &Host, page: &str) -> Result<Option<String>, lab::Error> {
    let output = host.run(&format!("curl --silent --connect-timeout 2 --max-time 10 '{page}'"))?;
    Ok(output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned()))
}

fn expect_no_page(host: &Host, page: &str) -> Promise {
    println!("    $ curl {page}");
    match fetch(host, page)? {
        None => println!("      failed, as it should"),
        Some(text) => return Err(format!("{page} was fetched: {text:?}").into()),
    }
    Ok(())
}

/// The page itself tells best when everything stands.
fn wait_for_page(host: &Host, page: &str, running: &mut Running) -> Promise {
    let patience = Instant::now() + Duration::from_secs(30);
    while fetch(host, page)?.is_none() {
        if let Some(status) = running.0.try_wait()? {
            return Err(format!("shuttle ended: {status}").into());
        }
        if Instant::now() > patience {
            return Err(format!("{page} could not be fetched in 30 seconds").into());
        }
    }
    Ok(())
}
