//! Every bug that was found after it was written, by what should have happened.

mod pair;
mod wire;

use std::time::Duration;

use pair::endpoint::Application;
use pair::{Pair, Wire};
use shuttle_proto::frame::Kind;
use shuttle_proto::{Config, Connection, OpenError, Peer, Reason, Side, Violation};
use wire::*;

/// A peer that acknowledges nothing could fill the ring with control frames, and the close had no room.
#[test]
fn a_close_has_room_when_control_frames_have_filled_the_ring() {
    let mut connection = Connection::new(Config { ring: 1 << 15, ..Config::new(Side::Client) });
    connection.attach(NOW, Peer { received: 0, window: 1000, streams: 65_536 }).unwrap();
    for _ in 0..5000 {
        connection.open(NOW, &target()).unwrap();
    }
    sent_by(&mut connection);
    assert_eq!(feed(&mut connection, &open(0), 100), Err(Violation::StreamTaken));
    let close = frame(Kind::Close, 0, &Violation::StreamTaken.code().to_be_bytes());
    assert_eq!(sent_by(&mut connection), close);
}

/// Frames that were waiting for the ring came after the close.
#[test]
fn nothing_follows_a_close() {
    let mut connection = connection(Side::Client);
    let stream = connection.open(NOW, &target()).unwrap();
    sent_by(&mut connection);
    feed(&mut connection, &open(0), 100).unwrap_err();
    assert!(!sent_by(&mut connection).is_empty());
    connection.reset(stream, Reason::Reset);
    connection.close();
    assert_eq!(sent_by(&mut connection), []);
}

/// A client that opened more streams before the first link than the agent allows was then called a liar.
#[test]
fn no_stream_opens_before_the_peer_has_told_its_limits() {
    let mut connection = Connection::new(Config::new(Side::Client));
    assert_eq!(connection.open(NOW, &target()), Err(OpenError::TooMany));
    connection.attach(NOW, peer(0)).unwrap();
    for _ in 0..STREAMS {
        connection.open(NOW, &target()).unwrap();
    }
    assert_eq!(connection.open(NOW, &target()), Err(OpenError::TooMany));
}

/// A stream was released by an agent that had ended nothing, before it could know of the reset.
#[test]
fn a_release_before_the_agent_was_told_is_a_violation() {
    let mut connection = connection(Side::Client);
    let stream = connection.open(NOW, &target()).unwrap();
    sent_by(&mut connection);
    connection.reset(stream, Reason::Reset);
    assert_eq!(feed(&mut connection, &frame(Kind::Release, 0, &[]), 100), Err(Violation::WrongState));
}

/// An agent could use a number before the client's open was written.
#[test]
fn a_stream_whose_open_is_not_written_is_unknown_to_the_agent() {
    let mut connection = connection(Side::Client);
    connection.open(NOW, &target()).unwrap();
    assert_eq!(feed(&mut connection, &data(0, 10), 100), Err(Violation::UnknownStream));
}

/// An impossible resume position left the session going on.
#[test]
fn an_impossible_resume_ends_the_session() {
    let mut connection = connection(Side::Agent);
    connection.detach();
    assert_eq!(connection.attach(NOW, peer(1)), Err(Violation::BadResume));
    assert_eq!(feed(&mut connection, &open(0), 100), Err(Violation::BadResume));
}

/// A link that took the place of another without a detach began in the middle of the old one's frame.
#[test]
fn a_new_link_begins_with_a_whole_frame_even_without_a_detach() {
    let mut connection = connection(Side::Agent);
    let wire = open(0);
    feed(&mut connection, &wire[..5], 100).unwrap();
    connection.attach(NOW, peer(0)).unwrap();
    assert_eq!(connection.received(), 0);
    assert_eq!(feed(&mut connection, &wire, 100).unwrap().len(), 1);
}

/// A count beyond what was reserved overran the ring.
#[test]
fn a_commit_is_bounded_by_its_reservation() {
    let mut connection = Connection::new(Config::new(Side::Client));
    connection.attach(NOW, Peer { received: 0, window: 1 << 20, streams: 1 }).unwrap();
    let stream = connection.open(NOW, &target()).unwrap();
    connection.ready(stream);
    let (_, room) = connection.reserve(NOW).unwrap();
    let room = room.len();
    connection.commit(stream, usize::MAX);
    assert_eq!(sent_by(&mut connection).len(), 13 + 6 + room);
    connection.commit(stream, 10);
    assert_eq!(sent_by(&mut connection), []);
}

/// Each stream's window grew to its cap, however many streams there were.
#[test]
fn all_windows_together_grow_by_no_more_than_was_configured() {
    let growth = 1 << 20;
    let wire = Wire::new(1000.0, Duration::from_millis(10), 4 << 20);
    let mut pair = Pair::with(wire, wire, |config| {
        config.growth = growth;
        config.window_cap = 1 << 20;
    });
    pair.agent.template = Application { to_send: u64::MAX, ..Application::default() };
    let most = growth + 8 * u64::from(pair.client.config.window);
    // Again with new streams, for which the ended ones have made room.
    for _ in 0..2 {
        let streams: Vec<_> = (0..8).map(|_| pair.client.open(pair.now, Application::default())).collect();
        pair.run_for(Duration::from_secs(3));
        for stream in &streams {
            pair.client.streams.get_mut(stream).unwrap().stalled = true;
        }
        pair.run_for(Duration::from_secs(3));
        let unread: u64 = pair.client.streams.values().map(|stream| stream.unread).sum();
        assert!(unread <= most, "{unread} bytes unread, at most {most} were promised");
        assert!(unread > most / 2, "{unread}: the windows have not grown");
        for stream in streams {
            pair.client.reset(stream);
        }
        pair.run_for(Duration::from_secs(1));
    }
}

/// The acknowledgement of a first small frame looked like a very slow link, which then paced the response.
#[test]
fn a_first_response_is_not_slowed_down_by_the_small_frames_before_it() {
    let mut pair = Pair::new(Wire::new(20.0, Duration::from_millis(50), 1 << 20));
    let sent = 60_000;
    pair.agent.template = Application { to_send: 0, ..Application::default() };
    let stream = pair.client.open(pair.now, Application { to_send: 100, ..Application::default() });
    pair.run_for(Duration::from_secs(3));
    let asked = pair.now;
    pair.agent.offer(stream, sent);
    pair.run_for(Duration::from_secs(3));
    let application = &pair.client.streams[&stream];
    assert_eq!(application.received, sent);
    let took = application.last_data.unwrap().since(asked);
    // 24 ms on the wire and 50 ms of way.
    assert!(took < Duration::from_millis(50 + 24 + 30), "{took:?}");
}

/// A peer that acknowledges at once, and then holds back for weeks, made the law multiply beyond 64 bits.
#[test]
fn any_acknowledgement_at_any_time_leaves_sane_figures() {
    let mut connection = Connection::new(Config::new(Side::Client));
    connection.attach(NOW, Peer { received: 0, window: 1000, streams: 65_536 }).unwrap();
    let mut now = NOW;
    for weeks in [0, 0, 3, 3] {
        for _ in 0..10_000 {
            connection.open(now, &target()).unwrap();
        }
        sent_by(&mut connection);
        now = now + Duration::from_secs(weeks * 7 * 86_400) + Duration::from_micros(1);
        connection.handle(now, &acknowledgement(connection.stats().sent)).unwrap();
        assert!(connection.reserve(now).is_none());
        assert!(connection.stats().limit > 0);
    }
}
