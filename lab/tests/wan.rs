//! The wide-area line delays, limits, loses and can be cut; figures are printed (`--nocapture`), bands are wide.

use std::io::{ErrorKind, Read};
use std::net::{TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use lab::{Lab, LinkPlan, Wan};

const MS: Duration = Duration::from_millis(1);

/// client — server with the given line; the inner host's services are not needed here.
fn lab(wan: Wan) -> Lab {
    Lab::builder().wan(wan).build().unwrap()
}

/// A pair of datagram sockets, each connected to the other, on the client and on the server.
fn datagrams(lab: &Lab) -> (UdpSocket, UdpSocket) {
    let client = lab.client().inside(|| UdpSocket::bind((lab.client().address_v4(), 0)).unwrap());
    let server = lab.server().inside(|| UdpSocket::bind((lab.server().address_v4(), 0)).unwrap());
    client.connect(server.local_addr().unwrap()).unwrap();
    server.connect(client.local_addr().unwrap()).unwrap();
    for socket in [&client, &server] {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    (client, server)
}

fn round_trip((client, server): &(UdpSocket, UdpSocket)) -> Duration {
    let begun = Instant::now();
    client.send(b"ping").unwrap();
    server.recv(&mut [0; 16]).unwrap();
    server.send(b"pong").unwrap();
    client.recv(&mut [0; 16]).unwrap();
    begun.elapsed()
}

#[test]
fn a_round_trip_takes_both_delays() {
    let lab = lab(Wan::new(40 * MS, 1000));
    let pair = datagrams(&lab);
    let mut times: Vec<_> = (0..11).map(|_| round_trip(&pair)).collect();
    times.sort();
    println!("round trip at 40 ms: median {:?}, {:?} to {:?}", times[5], times[0], times[10]);
    assert!(times[0] >= 40 * MS, "{times:?}");
}

#[test]
fn tcp_fills_the_line_and_not_more() {
    for megabits in [20, 100, 1000] {
        let lab = lab(Wan::new(20 * MS, megabits));
        let mut stream = source(&lab);
        let mut block = vec![0; 256 * 1024];
        // Past the slow start.
        let warm = Instant::now();
        while warm.elapsed() < Duration::from_millis(700) {
            stream.read_exact(&mut block).unwrap();
        }
        let (begun, mut bytes) = (Instant::now(), 0);
        while begun.elapsed() < Duration::from_secs(1) {
            bytes += stream.read(&mut block).unwrap();
        }
        let reached = bytes as f64 * 8e-6 / begun.elapsed().as_secs_f64();
        println!("TCP at {megabits} Mbit/s: {reached:.1} Mbit/s, {:?}", lab.wan().counts_down());
        assert!(reached < megabits as f64 * 1.5, "{reached} Mbit/s on a line of {megabits}");
    }
}

#[test]
fn the_losses_are_those_of_the_seed() {
    let lost = || {
        let lab = lab(Wan { loss: 0.2, seed: 7, ..Wan::default() });
        let (client, server) = datagrams(&lab);
        assert_eq!(lab.wan().counts_up(), lab::wan::Counts::default(), "a new line is silent");
        for number in 0..100u8 {
            client.send(&[number]).unwrap();
        }
        while sum(lab.wan().counts_up()) < 100 {
            std::thread::sleep(MS);
        }
        server.set_read_timeout(Some(200 * MS)).unwrap();
        let mut got = Vec::new();
        let mut number = [0];
        while server.recv(&mut number).is_ok() {
            got.push(number[0]);
        }
        got
    };
    fn sum(counts: lab::wan::Counts) -> u64 {
        counts.delivered + counts.lost
    }
    let first = lost();
    assert!((60..100).contains(&first.len()), "{} of 100 arrived", first.len());
    assert_eq!(first, lost());
}

#[test]
fn nothing_passes_a_cut_line_and_a_mended_one_carries_on() {
    let lab = lab(Wan::new(4 * MS, 100));
    let mut stream = source(&lab);
    let mut block = vec![0; 64 * 1024];
    stream.read_exact(&mut block).unwrap();

    lab.wan().cut();
    stream.set_read_timeout(Some(300 * MS)).unwrap();
    let silence = loop {
        // What arrived before the cut may still be read.
        if let Err(error) = stream.read(&mut block) {
            break error;
        }
    };
    assert_eq!(silence.kind(), ErrorKind::WouldBlock);
    let frozen = lab.wan().counts_down().delivered;
    std::thread::sleep(500 * MS);
    assert_eq!(lab.wan().counts_down().delivered, frozen);

    lab.wan().mend();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.read_exact(&mut block).unwrap();
}

/// An endless download from the server itself: one line, nothing else on the way.
fn source(lab: &Lab) -> TcpStream {
    let listener =
        lab.server().inside(|| std::net::TcpListener::bind((lab.server().address_v4(), 0)).unwrap());
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let block = vec![0; 64 * 1024];
        // Ends when the reader goes away.
        while std::io::Write::write_all(&mut stream, &block).is_ok() {}
    });
    lab.client().inside(|| TcpStream::connect(address).unwrap())
}

#[test]
fn ssh_logs_in_over_a_lossy_far_line_and_any_link_can_be_one() {
    let far = Wan { loss: 0.02, ..Wan::new(30 * MS, 10) };
    let inner =
        LinkPlan::new("server", "outpost", [10, 21, 0, 0].into(), "fd21::".parse().unwrap()).wan(far, far);
    let lab =
        Lab::builder().wan(far).host(lab::HostPlan::new("outpost").services()).link(inner).build().unwrap();
    let page = format!("curl -sS http://{}/", lab.host("outpost").address_v4());
    let line = format!("{} {} {page}", lab.ssh_command(), lab.login());
    assert_eq!(lab.client().check(&line).unwrap(), lab::PAGE);
    assert_eq!(lab.wans().len(), 2);
}
