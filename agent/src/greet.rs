//! The greeting: the agent speaks first, the client says what it wants, the agent confirms.

use proto::greeting::{Attach, Attached, Hello, Refusal, VERSION};
use proto::{Config, Peer};

use crate::Failure;
use crate::link::Link;

/// Exchanges greetings; from then on the link carries frames.
pub(crate) fn greet(link: &Link<'_>, config: &Config) -> Result<Peer, Failure> {
    let hello = Hello { version: VERSION, features: 0, window: config.window, streams: config.streams };
    link.write_all(&hello.encode())?;

    let mut wire = [0; Attach::LENGTH];
    link.read_all(&mut wire)?;
    let attach = Attach::decode(&wire).map_err(|_| Failure::NotAClient)?;

    let refuse = |refusal: Refusal, failure| {
        link.write_all(&Attached { refusal: refusal.code(), received: 0 }.encode())?;
        Err(failure)
    };
    if attach.version != VERSION {
        return refuse(Refusal::Version, Failure::Version(attach.version));
    }
    // A session ends with its link so far, so there is never one to go on with.
    if attach.resume {
        return refuse(Refusal::NoSession, Failure::NoSession);
    }
    link.write_all(&Attached { refusal: 0, received: 0 }.encode())?;
    Ok(Peer { received: attach.received, window: attach.window, streams: attach.streams })
}
