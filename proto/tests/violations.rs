//! Every violation, provoked by the bytes of a hostile peer, ends the session with exactly its code.

mod wire;

use std::collections::BTreeSet;

use shuttle_proto::frame::{HEADER, Kind};
use shuttle_proto::greeting::{Attach, Attached, Hello, MAGIC};
use shuttle_proto::{Connection, Reason, Side, Violation};
use wire::*;

/// Where the honest part of a case has come to before the hostile bytes.
#[derive(Clone, Copy, Debug)]
enum State {
    /// Nothing was said yet.
    Fresh,
    /// Stream 0 is open and accepted.
    Open,
    /// As `Open`, and the other end has finished it.
    Finished,
    /// As `Open`, and the other end has reset it, which this end has not been able to answer.
    Reset,
    /// Stream 0 was finished by both ends, delivered and released.
    Released,
}
use State::*;

/// A client and an agent, both honest, in the given state; `victim` is the end to be attacked.
fn honest(state: State, victim: Side) -> (Connection, Connection) {
    let (mut client, mut agent) = (connection(Side::Client), connection(Side::Agent));
    if matches!(state, Fresh) {
        return (client, agent);
    }
    let stream = client.open(NOW, &target()).expect("a free stream");
    exchange(&mut client, &mut agent);
    agent.accept(stream);
    exchange(&mut agent, &mut client);
    match (state, victim) {
        (Finished, Side::Client) => agent.finish(stream),
        (Finished, Side::Agent) => client.finish(stream),
        (Reset, Side::Client) => agent.reset(stream, Reason::Refused),
        (Reset, Side::Agent) => client.reset(stream, Reason::Reset),
        (Released, _) => {
            client.finish(stream);
            agent.finish(stream);
        }
        _ => {}
    }
    exchange(&mut client, &mut agent);
    if matches!(state, Reset) && victim == Side::Agent {
        return (client, agent);
    }
    exchange(&mut agent, &mut client);
    (client, agent)
}

fn exchange(from: &mut Connection, to: &mut Connection) {
    let wire = sent_by(from);
    feed(to, &wire, usize::MAX).expect("honest bytes");
}

/// What `wire` provokes at `victim` in `state`.
struct Case {
    violation: Violation,
    victim: Side,
    state: State,
    wire: Vec<u8>,
}

impl Case {
    /// Attacks, with the bytes in pieces of `chunk`, and looks at what follows.
    fn run(&self, chunk: usize) {
        let (mut client, mut agent) = honest(self.state, self.victim);
        let (victim, other) = match self.victim {
            Side::Client => (&mut client, &mut agent),
            Side::Agent => (&mut agent, &mut client),
        };
        let said = format!("{:?} at the {:?} in {:?}", self.violation, self.victim, self.state);
        assert_eq!(feed(victim, &self.wire, chunk), Err(self.violation), "{said}");

        // It has ended for its own driver...
        for bytes in [&[1, 2, 3][..], &self.wire] {
            assert_eq!(victim.handle(NOW, bytes), Err(self.violation), "{said}");
        }
        assert!(victim.open(NOW, &target()).is_err(), "{said}");
        assert!(victim.reserve(NOW).is_none(), "{said}");
        // ... and the last word, and only that, says why ...
        let last = sent_by(victim);
        let close = frame(Kind::Close, 0, &self.violation.code().to_be_bytes());
        assert!(last.ends_with(&close), "{said}: {last:?}");
        assert_eq!(sent_by(victim), [], "{said}");
        // ... which an honest other end reports. It never sent what the acknowledgement before counts.
        let acknowledgement = if last[0] == Kind::Ack as u8 { HEADER + 16 } else { 0 };
        let seen = feed(other, &last[acknowledgement..], chunk).expect("honest bytes");
        assert_eq!(seen.last(), Some(&Seen::Closed(Some(self.violation))), "{said}");
        assert_eq!(feed(other, &[9, 9, 9], chunk), Ok(vec![]), "{said}");
        assert!(other.reserve(NOW).is_none(), "{said}");
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |violation, victims: &[Side], state, wire: &[u8]| {
        for &victim in victims {
            cases.push(Case { violation, victim, state, wire: wire.to_vec() });
        }
    };
    let header = |kind: u8, stream: u8, length: u16| {
        let [long, short] = length.to_be_bytes();
        [kind, 0, 0, stream, long, short]
    };
    const CLIENT: &[Side] = &[Side::Client];
    const AGENT: &[Side] = &[Side::Agent];
    const BOTH: &[Side] = &[Side::Client, Side::Agent];

    for kind in [0, 9, 0x7f, 0x82, 0xff] {
        add(Violation::UnknownKind, BOTH, Open, &header(kind, 0, 0));
    }
    for (kind, length) in [
        (Kind::Open, 257),
        (Kind::Accept, 1),
        (Kind::Credit, 5),
        (Kind::Finish, 1),
        (Kind::Reset, 3),
        (Kind::Release, 1),
        (Kind::Close, 3),
        (Kind::Ack, 17),
        (Kind::Probe, u16::MAX),
    ] {
        add(Violation::Oversized, BOTH, Open, &header(kind as u8, 0, length));
    }
    for (kind, length) in [
        (Kind::Open, 0),
        (Kind::Data, 0),
        (Kind::Credit, 3),
        (Kind::Reset, 1),
        (Kind::Close, 0),
        (Kind::Ack, 15),
    ] {
        add(Violation::Malformed, BOTH, Open, &header(kind as u8, 0, length));
    }

    let finish = |stream| frame(Kind::Finish, stream, &[]);
    let accept = |stream| frame(Kind::Accept, stream, &[]);
    let release = |stream| frame(Kind::Release, stream, &[]);
    for state in [Fresh, Released] {
        add(Violation::UnknownStream, BOTH, state, &data(0, 1));
        add(Violation::UnknownStream, BOTH, state, &finish(0));
        // A client may say these before it hears of a release; an agent never.
        add(Violation::UnknownStream, CLIENT, state, &credit(0, 1));
        add(Violation::UnknownStream, CLIENT, state, &reset(0));
        add(Violation::UnknownStream, CLIENT, state, &accept(0));
        add(Violation::UnknownStream, CLIENT, state, &release(0));
    }
    add(Violation::UnknownStream, AGENT, Open, &credit(STREAMS, 1));
    add(Violation::UnknownStream, AGENT, Open, &reset(STREAMS));

    add(Violation::StreamTaken, CLIENT, Fresh, &open(0));
    add(Violation::StreamTaken, BOTH, Open, &open(0));
    add(Violation::StreamTaken, AGENT, Finished, &open(0));
    add(Violation::StreamTaken, AGENT, Fresh, &[open(5), open(5)].concat());

    add(Violation::TooManyStreams, AGENT, Open, &open(STREAMS));
    add(Violation::TooManyStreams, AGENT, Fresh, &open((1 << 24) - 1));

    let window = WINDOW as usize;
    add(Violation::CreditOverrun, BOTH, Open, &data(0, window + 1));
    add(Violation::CreditOverrun, BOTH, Open, &[data(0, window), data(0, 1)].concat());
    add(Violation::CreditOverrun, BOTH, Open, &vec![data(0, 1); window + 1].concat());

    add(Violation::CreditOverflow, BOTH, Open, &credit(0, 1 << 30));
    add(Violation::CreditOverflow, BOTH, Open, &credit(0, u32::MAX));
    add(Violation::CreditOverflow, BOTH, Open, &[credit(0, 1 << 29), credit(0, 1 << 29)].concat());

    add(Violation::WrongState, CLIENT, Open, &accept(0));
    add(Violation::WrongState, CLIENT, Finished, &accept(0));
    add(Violation::WrongState, CLIENT, Reset, &accept(0));
    add(Violation::WrongState, AGENT, Open, &accept(0));
    add(Violation::WrongState, AGENT, Open, &release(0));
    add(Violation::WrongState, CLIENT, Open, &release(0));
    add(Violation::WrongState, CLIENT, Finished, &release(0));
    add(Violation::WrongState, CLIENT, Reset, &release(0));
    for state in [Finished, Reset] {
        add(Violation::WrongState, BOTH, state, &data(0, 1));
        add(Violation::WrongState, BOTH, state, &finish(0));
    }
    add(Violation::WrongState, BOTH, Reset, &reset(0));

    add(Violation::BadAcknowledgement, BOTH, Open, &acknowledgement(1000));
    add(Violation::BadAcknowledgement, BOTH, Fresh, &acknowledgement(1));
    add(Violation::BadAcknowledgement, BOTH, Open, &acknowledgement(u64::MAX));
    add(Violation::BadAcknowledgement, BOTH, Open, &[acknowledgement(6), acknowledgement(5)].concat());
    cases
}

#[test]
fn each_frame_that_breaks_the_protocol_ends_the_session_with_its_code() {
    for case in cases() {
        for chunk in [usize::MAX, 1, 5] {
            case.run(chunk);
        }
    }
}

#[test]
fn a_resume_from_an_impossible_position_ends_the_session() {
    for side in [Side::Client, Side::Agent] {
        // Beyond what was sent, and before what was acknowledged.
        for position in [1000, 0] {
            let (mut client, mut agent) = honest(Open, side);
            exchange(&mut client, &mut agent);
            exchange(&mut agent, &mut client);
            let mut victim = if side == Side::Client { client } else { agent };
            victim.detach();
            assert_eq!(victim.attach(NOW, peer(position)), Err(Violation::BadResume));
            assert_eq!(victim.handle(NOW, &[1]), Err(Violation::BadResume));
            assert!(victim.open(NOW, &target()).is_err());
            // There is no link to say so on.
            assert_eq!(sent_by(&mut victim), []);
        }
    }
}

#[test]
fn what_is_no_greeting_is_called_so() {
    assert_eq!(Hello::decode(b"Welcome to Debian GNU/"), Err(Violation::BadGreeting));
    assert_eq!(Attach::decode(&[0; Attach::LENGTH]), Err(Violation::BadGreeting));
    assert_eq!(Attached::decode(&[255; Attached::LENGTH]), Err(Violation::BadGreeting));
    let mut resume_maybe = [2; Attach::LENGTH];
    resume_maybe[..MAGIC.len()].copy_from_slice(&MAGIC);
    assert_eq!(Attach::decode(&resume_maybe), Err(Violation::BadGreeting));
}

#[test]
fn every_violation_has_a_case() {
    let mut seen: BTreeSet<u16> = cases().iter().map(|case| case.violation.code()).collect();
    // The two that come before any frame have tests of their own.
    seen.extend([Violation::BadGreeting.code(), Violation::BadResume.code()]);
    let all = Violation::ALL.iter().map(|violation| violation.code()).collect();
    assert_eq!(seen, all);
    assert!(
        Violation::ALL.iter().all(|&violation| Violation::from_code(violation.code()) == Some(violation))
    );
}

#[test]
fn a_code_from_a_newer_peer_is_still_a_violation() {
    let mut client = connection(Side::Client);
    let seen = feed(&mut client, &frame(Kind::Close, 0, &60_000u16.to_be_bytes()), 100);
    assert_eq!(seen, Ok(vec![Seen::Closed(Some(Violation::Malformed))]));
}

#[test]
fn a_target_of_an_unknown_kind_is_refused_and_the_session_goes_on() {
    let mut agent = connection(Side::Agent);
    assert_eq!(feed(&mut agent, &frame(Kind::Open, 0, &[200, 1, 2, 3]), 100), Ok(vec![]));
    let unsupported = frame(Kind::Reset, 0, &Reason::Unsupported.code().to_be_bytes());
    assert!(sent_by(&mut agent).windows(unsupported.len()).any(|piece| piece == unsupported));
    assert_eq!(feed(&mut agent, &open(1), 100).map(|seen| seen.len()), Ok(1));
}

#[test]
fn a_client_may_speak_before_the_agent_has_attached() {
    let mut client = connection(Side::Client);
    let stream = client.open(NOW, &target()).expect("the hello named the limits");
    client.ready(stream);
    fill(&mut client, 100);
    client.finish(stream);
    let early = sent_by(&mut client);
    let mut agent = connection(Side::Agent);
    let seen = feed(&mut agent, &early, 7).expect("honest bytes");
    assert!(matches!(seen[..], [Seen::Opened(_), Seen::Data(..), .., Seen::Finished(_)]), "{seen:?}");
    assert_eq!(agent.received(), early.len() as u64);
    assert!(early.len() > 100 + 3 * HEADER);
}
