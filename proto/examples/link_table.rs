//! Prints how well the in-flight law uses simulated links, as a Markdown table: the place to tune it.
//!
//! `cargo run --release -p shuttle-proto --example link_table`

use std::time::Duration;

use pair::endpoint::Application;
use pair::{Pair, Wire};

#[path = "../tests/pair/mod.rs"]
mod pair;

/// Before it is measured, the law may find its place.
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(15);
/// How often the queue is looked at.
const SAMPLE: Duration = Duration::from_millis(5);

/// Megabits per second.
const RATES: [f64; 6] = [0.1152, 1.0, 5.0, 20.0, 100.0, 1000.0];
/// Round trips in milliseconds.
const ROUND_TRIPS: [f64; 5] = [0.2, 10.0, 40.0, 100.0, 300.0];
/// Buffers: at least so many KiB, and at least the link's rate for so many milliseconds.
const BUFFERS: [(usize, u64); 3] = [(16, 0), (64, 100), (256, 1000)];
/// Links that hold more than the ring does are left out.
const MOST_CONTENT: f64 = 4e6;

struct Figures {
    utilisation: f64,
    median: Duration,
    worst: Duration,
    /// From the first offer of 60 KB after idling until it has arrived, without the link's own time.
    first: Duration,
}

fn measure(wire: Wire) -> Figures {
    let mut pair = Pair::new(wire);
    pair.agent.template = Application { to_send: u64::MAX, ..Application::default() };
    pair.client.open(pair.now, Application::default());
    let received = |pair: &Pair| pair.client.streams.values().map(|stream| stream.received).sum::<u64>();
    pair.run_for(WARM_UP);
    let before = received(&pair);
    let mut queues = Vec::new();
    while queues.len() < (MEASURED.as_micros() / SAMPLE.as_micros()) as usize {
        pair.run_for(SAMPLE);
        let queued = pair.down.queued(pair.now) as u64;
        queues.push(Duration::from_micros(queued * 1_000_000 / wire.rate));
    }
    let utilisation = (received(&pair) - before) as f64 / (wire.rate as f64 * MEASURED.as_secs_f64());
    queues.sort();
    Figures {
        utilisation,
        median: queues[queues.len() / 2],
        worst: queues[queues.len() * 99 / 100],
        first: first_response(wire),
    }
}

fn first_response(wire: Wire) -> Duration {
    const RESPONSE: u64 = 60_000;
    let mut pair = Pair::new(wire);
    let stream = pair.client.open(pair.now, Application { to_send: 100, ..Application::default() });
    pair.run_for(Duration::from_secs(5));
    let asked = pair.now;
    pair.agent.offer(stream, RESPONSE);
    pair.run_for(Duration::from_secs(60));
    let application = &pair.client.streams[&stream];
    assert_eq!(application.received, RESPONSE, "a minute was not enough");
    let of_link = wire.delay + Duration::from_micros(RESPONSE * 1_000_000 / wire.rate);
    application.last_data.expect("a response").since(asked).saturating_sub(of_link)
}

fn main() {
    println!(
        "| Mbit/s | round trip, ms | buffer, KiB | utilisation | queue: median, ms | p99, ms | first 60 KB: lost, ms |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    let millis = |time: Duration| time.as_secs_f64() * 1000.0;
    for rate in RATES {
        for round_trip in ROUND_TRIPS {
            if rate * 125.0 * round_trip > MOST_CONTENT {
                continue;
            }
            for (least, of_rate) in BUFFERS {
                let delay = Duration::from_secs_f64(round_trip / 2000.0);
                let buffer = (least << 10).max((rate * 125.0) as usize * of_rate as usize);
                let figures = measure(Wire::new(rate, delay, buffer));
                println!(
                    "| {rate} | {round_trip} | {} | {:.3} | {:.1} | {:.1} | {:.1} |",
                    buffer >> 10,
                    figures.utilisation,
                    millis(figures.median),
                    millis(figures.worst),
                    millis(figures.first),
                );
            }
        }
    }
}
