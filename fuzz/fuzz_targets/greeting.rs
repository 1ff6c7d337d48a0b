//! Any bytes as a greeting, a target, or a number; what is understood must come back the same, and must
//! do for a session.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shuttle_proto::greeting::{Attach, Attached, Hello, MAGIC, Refusal};
use shuttle_proto::target::MAX_TARGET;
use shuttle_proto::{Config, Connection, Instant, Peer, Reason, Side, Target, Violation};

/// The magic is not to be found by chance: half of the inputs get it as a present.
fn greeting<const N: usize>(gift: bool, bytes: &[u8]) -> [u8; N] {
    let mut wire = [0; N];
    let start = if gift { MAGIC.len() } else { 0 };
    wire[..start].copy_from_slice(&MAGIC[..start]);
    let count = bytes.len().min(N - start);
    wire[start..start + count].copy_from_slice(&bytes[..count]);
    wire
}

fn attach(side: Side, peer: Peer) {
    let now = Instant::from_micros(1);
    let mut connection = Connection::new(Config { ring: 1 << 15, ..Config::new(side) });
    match connection.attach(now, peer) {
        Ok(()) => assert_eq!(peer.received, 0),
        Err(violation) => {
            assert_eq!(violation, Violation::BadResume);
            assert_eq!(connection.handle(now, &[1]), Err(Violation::BadResume));
        }
    }
    if peer.received == 0 && side == Side::Client {
        let target = Target::Tcp("10.0.0.1:80".parse().expect("an address"));
        assert_eq!(connection.open(now, &target).is_ok(), peer.streams > 0);
    }
}

fuzz_target!(|input: (bool, &[u8])| {
    let (gift, bytes) = input;
    let wire = greeting(gift, bytes);
    match Hello::decode(&wire) {
        Ok(hello) => {
            assert_eq!(hello.encode(), wire);
            attach(Side::Client, Peer { received: 0, window: hello.window, streams: hello.streams });
        }
        Err(violation) => assert_eq!(violation, Violation::BadGreeting),
    }
    let wire = greeting(gift, bytes);
    match Attach::decode(&wire) {
        Ok(wish) => {
            assert_eq!(wish.encode(), wire);
            // A log may show an attach, but never its secret.
            assert!(!format!("{wish:?}").contains("secret"));
            let Attach { received, window, streams, .. } = wish;
            attach(Side::Agent, Peer { received, window, streams });
        }
        Err(violation) => assert_eq!(violation, Violation::BadGreeting),
    }
    let wire = greeting(gift, bytes);
    match Attached::decode(&wire) {
        Ok(attached) => {
            assert_eq!(attached.encode(), wire);
            let refusal = Refusal::from_code(attached.refusal);
            assert!(refusal.is_none_or(|refusal| refusal.code() == attached.refusal));
        }
        Err(violation) => assert_eq!(violation, Violation::BadGreeting),
    }
    if let Some(target) = Target::decode(bytes) {
        let mut wire = [0; MAX_TARGET];
        let length = target.encode(&mut wire);
        assert_eq!(&wire[..length], bytes);
        assert!(target.to_string().starts_with("tcp "));
    }
    if let Some(&code) = bytes.first_chunk() {
        let code = u16::from_be_bytes(code);
        let reason = Reason::from_code(code);
        assert!(reason.code() == code || reason == Reason::Other);
        assert!(Violation::from_code(code).is_none_or(|violation| violation.code() == code));
    }
});
