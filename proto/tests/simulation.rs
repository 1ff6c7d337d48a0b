//! What the protocol promises on links of any kind, on a virtual clock.

mod pair;

use std::time::Duration;

use pair::endpoint::Application;
use pair::{Pair, Wire};

const MINUTE: Duration = Duration::from_secs(60);

fn lan() -> Wire {
    Wire::new(1000.0, Duration::from_micros(100), 256 << 10)
}

fn sends(count: u64) -> Application {
    Application { to_send: count, finish: true, ..Application::default() }
}

/// Bytes that one bulk stream moved in `time`, after `warm_up`, as a share of the link.
fn utilisation(wire: Wire, warm_up: Duration, time: Duration, upload: bool) -> f64 {
    let mut pair = Pair::new(wire);
    let bulk = Application { to_send: u64::MAX, ..Application::default() };
    if upload {
        pair.client.open(pair.now, bulk);
    } else {
        pair.agent.template = bulk;
        pair.client.open(pair.now, Application::default());
    }
    let received = |pair: &Pair| {
        let end = if upload { &pair.agent } else { &pair.client };
        end.streams.values().map(|stream| stream.received).sum::<u64>()
    };
    pair.run_for(warm_up);
    let before = received(&pair);
    pair.run_for(time);
    (received(&pair) - before) as f64 / (wire.rate as f64 * time.as_secs_f64())
}

#[test]
fn one_stream_fills_20_mbit_at_100_ms() {
    for upload in [false, true] {
        // The round trip is 100 ms; a buffer of a second, as slow links have.
        let wire = Wire::new(20.0, Duration::from_millis(50), 2_500_000);
        let share = utilisation(wire, Duration::from_secs(2), Duration::from_secs(10), upload);
        assert!(share > 0.9, "upload {upload}: {share:.3} of the link");
    }
}

#[test]
fn one_stream_fills_links_of_many_kinds() {
    for (megabits, millis, buffer) in
        [(1000.0, 0.1, 256 << 10), (100.0, 100.0, 4 << 20), (5.0, 300.0, 1 << 20), (0.1152, 1.0, 64 << 10)]
    {
        let wire = Wire::new(megabits, Duration::from_micros((millis * 500.0) as u64), buffer);
        let share = utilisation(wire, Duration::from_secs(5), Duration::from_secs(10), false);
        println!("{megabits} Mbit/s, {millis} ms: {share:.3}");
        assert!(share > 0.85, "{megabits} Mbit/s, {millis} ms: {share:.3} of the link");
    }
}

#[test]
fn a_new_stream_does_not_wait_behind_a_bulk_one() {
    // 20 Mbit/s, 40 ms round trip, one second of buffer.
    let mut pair = Pair::new(Wire::new(20.0, Duration::from_millis(20), 2_500_000));
    pair.client.open(pair.now, Application { to_send: u64::MAX, ..Application::default() });
    pair.run_for(Duration::from_secs(10));
    let mut worst = Duration::ZERO;
    for _ in 0..20 {
        let opened = pair.now;
        let stream = pair.client.open(pair.now, sends(100));
        pair.run_for(Duration::from_millis(500));
        let arrived = pair.agent.streams.get(&stream).and_then(|a| a.last_data).expect("arrived");
        worst = worst.max(arrived.since(opened));
        pair.client.reset(stream);
    }
    assert!(worst < Duration::from_millis(20 + 30), "{worst:?} where the link alone takes 20 ms");
}

#[test]
fn streams_share_a_link_equally() {
    let mut pair = Pair::new(Wire::new(20.0, Duration::from_millis(10), 1 << 20));
    for _ in 0..8 {
        pair.client.open(pair.now, Application { to_send: u64::MAX, ..Application::default() });
    }
    pair.run_for(Duration::from_secs(10));
    let received: Vec<u64> = pair.agent.streams.values().map(|stream| stream.received).collect();
    let (least, most) = (received.iter().min().unwrap(), received.iter().max().unwrap());
    assert!(*least as f64 > *most as f64 * 0.95, "{received:?}");
}

#[test]
fn half_close_works_both_ways_and_streams_end_when_both_are_done() {
    let mut pair = Pair::new(lan());
    pair.agent.template = sends(300_000);
    for _ in 0..10 {
        for _ in 0..20 {
            pair.client.open(pair.now, sends(100_000));
        }
        pair.run_until_quiet(MINUTE);
    }
    assert_eq!((pair.client.streams.len(), pair.agent.streams.len()), (0, 0));
    assert_eq!((pair.client.ended.len(), pair.agent.ended.len()), (200, 200));
    assert!(pair.client.ended.iter().all(|stream| stream.received == 300_000 && stream.reset.is_none()));
    assert!(pair.agent.ended.iter().all(|stream| stream.received == 100_000 && stream.reset.is_none()));
    assert_eq!(pair.client.connection.stats().streams, 0);
    assert_eq!(pair.agent.connection.stats().streams, 0);
}

#[test]
fn a_reset_reaches_the_other_side_and_frees_the_stream() {
    for by_client in [true, false] {
        let mut pair = Pair::new(lan());
        pair.agent.template = Application { to_send: 1 << 30, ..Application::default() };
        let stream = pair.client.open(pair.now, Application { to_send: 1 << 30, ..Application::default() });
        pair.run_for(Duration::from_millis(50));
        if by_client {
            pair.client.reset(stream);
        } else {
            pair.agent.reset(stream);
        }
        pair.run_until_quiet(MINUTE);
        let told = if by_client { &pair.agent } else { &pair.client };
        assert_eq!(told.ended[0].reset, Some(shuttle_proto::Reason::Reset));
        assert_eq!(pair.client.connection.stats().streams, 0);
        assert_eq!(pair.agent.connection.stats().streams, 0);
    }
}

#[test]
fn an_application_that_does_not_read_costs_its_window_and_slows_nobody() {
    let mut pair = Pair::new(lan());
    pair.agent.template = Application { to_send: u64::MAX, ..Application::default() };
    let stalled = pair.client.open(pair.now, Application { stalled: true, ..Application::default() });
    let other = pair.client.open(pair.now, Application::default());
    pair.run_for(Duration::from_secs(1));
    let unread = pair.client.streams[&stalled].unread;
    assert_eq!(unread, u64::from(pair.client.config.window));
    assert!(pair.client.streams[&other].received > 100_000_000, "{}", pair.client.streams[&other].received);
    let now = pair.now;
    pair.client.resume_reading(now, stalled);
    pair.run_for(Duration::from_millis(100));
    assert!(pair.client.streams[&stalled].received > unread);
}

#[test]
fn no_byte_is_lost_or_repeated_over_many_lost_links() {
    let mut pair = Pair::with(lan(), Wire::new(50.0, Duration::from_millis(3), 100_000), |config| {
        config.ring = 1 << 18;
    });
    pair.agent.template = sends(200_000);
    for round in 0..100u64 {
        for _ in 0..5 {
            pair.client.open(pair.now, sends(90_000));
        }
        pair.run_for(Duration::from_micros(100 + round * 577 % 40_000));
        pair.cut();
        pair.run_for(Duration::from_millis(5));
        pair.connect();
    }
    pair.run_until_quiet(MINUTE * 10);
    assert_eq!((pair.client.ended.len(), pair.agent.ended.len()), (500, 500));
    assert!(pair.client.ended.iter().all(|stream| stream.received == 200_000));
    assert!(pair.agent.ended.iter().all(|stream| stream.received == 90_000));
}

#[test]
fn a_session_ends_on_purpose() {
    let mut pair = Pair::new(lan());
    pair.client.open(pair.now, sends(10));
    pair.run_for(Duration::from_millis(10));
    pair.client.connection.close();
    pair.run_until_quiet(MINUTE);
    assert!(pair.agent.closed);
}
