//! What an application sees of its connection is what it would see over there: ends, resets, refusals, silence.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use lab::{BLACKHOLE_V4, BLACKHOLE_V6, UNREACHABLE_V4, UNREACHABLE_V6, pattern, port};

use crate::harness::{PATIENCE, Site, eventually, resident};
use crate::sockets::{connect, count_of, end_from, end_of, exchange, reset, talk};

const MEBIBYTE: usize = 1 << 20;

fn inner(site: &Site) -> [IpAddr; 2] {
    [site.lab.inner().address_v4().into(), site.lab.inner().address_v6().into()]
}

#[test]
fn each_side_may_end_first_and_still_receive() {
    let site = Site::new();
    let shuttle = site.start_inner();
    for address in inner(&site) {
        // Ours first: the service answers after our end.
        let stream = connect(site.lab.client(), address, port::COUNT).unwrap();
        let sent = pattern(100_000);
        assert_eq!(String::from_utf8(exchange(&stream, &sent).unwrap()).unwrap(), count_of(&sent));
        // Theirs first: the service reads on after its end.
        let mut stream = connect(site.lab.client(), address, port::HALF_CLOSE).unwrap();
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert!(received == pattern(64 * 1024), "{} bytes", received.len());
        let open = site.lab.services()[0].open();
        stream.write_all(&sent).expect("it still reads");
        stream.shutdown(Shutdown::Write).unwrap();
        eventually(|| site.lab.services()[0].open() < open, || "it does not see our end".into());
    }
    shuttle.stop();
    site.nothing_is_left();
}

#[test]
fn a_reset_over_there_is_a_reset_here() {
    let site = Site::new();
    let _shuttle = site.start_inner();
    for address in inner(&site) {
        let end = end_from(site.lab.client(), address, port::RESET);
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "{address}");
        let mut stream = connect(site.lab.client(), address, port::RESET_LATER).unwrap();
        stream.write_all(b"x").unwrap();
        assert_eq!(end_of(&stream), Some(ErrorKind::ConnectionReset), "{address}");
    }
}

#[test]
fn a_reset_here_is_a_reset_over_there() {
    let site = Site::new();
    let listener = site.lab.inner().inside(|| TcpListener::bind("[::]:7000")).unwrap();
    let _shuttle = site.start_inner();
    for address in inner(&site) {
        let mut here = connect(site.lab.client(), address, 7000).unwrap();
        here.write_all(b"x").unwrap();
        let (mut there, _) = listener.accept().unwrap();
        there.read_exact(&mut [0]).unwrap();
        there.set_read_timeout(Some(PATIENCE)).unwrap();
        reset(here);
        assert_eq!(end_of(&there), Some(ErrorKind::ConnectionReset), "{address}");
    }
}

#[test]
fn a_reset_here_after_an_end_is_a_reset_over_there() {
    let site = Site::new();
    let listener = site.lab.inner().inside(|| TcpListener::bind("[::]:7000")).unwrap();
    let _shuttle = site.start_inner();
    for address in inner(&site) {
        let here = connect(site.lab.client(), address, 7000).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        there.set_read_timeout(Some(PATIENCE)).unwrap();
        here.shutdown(Shutdown::Write).unwrap();
        assert_eq!(there.read(&mut [0]).unwrap(), 0, "the end");
        reset(here);
        // A socket that has read the end shows what follows by its error only.
        let broken = || there.write_all(b"x").is_err();
        eventually(broken, || format!("{address}: it still takes what nobody reads"));
    }
}

#[test]
fn nobody_listens_is_a_reset_and_never_an_end() {
    let site = Site::new();
    let _shuttle = site.start_inner();
    let mut gone = inner(&site).map(|address| (address, port::CLOSED)).to_vec();
    gone.extend([(UNREACHABLE_V4.into(), 80), (UNREACHABLE_V6.into(), 80)]);
    for (address, port) in gone {
        let end = end_from(site.lab.client(), address, port);
        assert_eq!(end, Some(ErrorKind::ConnectionReset), "{address}");
    }
}

#[test]
fn an_address_that_never_answers_keeps_the_connection_waiting_and_lets_it_go() {
    let site = Site::new();
    let shuttle = site.start_inner();
    for address in [IpAddr::from(BLACKHOLE_V4), BLACKHOLE_V6.into()] {
        let mut stream = connect(site.lab.client(), address, 80).unwrap();
        stream.write_all(b"anybody there?").unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        let silence = stream.read(&mut [0]).unwrap_err().kind();
        assert_eq!(silence, ErrorKind::WouldBlock, "{address}");
        // A mere end might mean that the application still waits for an answer.
        reset(stream);
    }
    // Nothing keeps trying on the server.
    let attempts = || site.lab.server().check("ss -Htn state syn-sent").unwrap();
    eventually(|| attempts().is_empty(), attempts);
    shuttle.stop();
}

#[test]
fn what_was_sent_before_the_end_arrives() {
    let site = Site::new();
    let _shuttle = site.start_inner();
    let sent = pattern(8 * MEBIBYTE);
    for address in inner(&site) {
        // Up: we are gone at once, and the service counts what still comes.
        let listener = site.lab.inner().inside(|| TcpListener::bind((address, 7000))).unwrap();
        let mut stream = connect(site.lab.client(), address, 7000).unwrap();
        let receiving = std::thread::spawn(move || {
            let mut received = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut received).map(|_| received)
        });
        stream.write_all(&sent).unwrap();
        drop(stream);
        assert!(receiving.join().unwrap().expect("a clean end") == sent, "{address}: up");
        // Down: the service writes and is gone.
        let listener = site.lab.inner().inside(|| TcpListener::bind((address, 7001))).unwrap();
        let mut stream = connect(site.lab.client(), address, 7001).unwrap();
        let mut received = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(|| listener.accept().unwrap().0.write_all(&sent).unwrap());
            stream.read_to_end(&mut received).expect("a clean end");
        });
        assert!(received == sent, "{address}: down");
    }
}

#[test]
fn a_hundred_megabytes_arrive_whole_both_ways() {
    let site = Site::new();
    let _shuttle = site.start_inner();
    let page = format!("http://{}/100M", site.lab.inner().address_v4());
    let client = site.lab.client();
    // The same bytes, straight from the service.
    let expected = site.lab.server().check(&format!("curl -sS {page} | sha256sum")).unwrap();
    assert_eq!(client.check(&format!("curl -sS {page} | sha256sum")).unwrap(), expected);
    let upload = |host: &lab::Host| {
        let sums = "head -c 104857600 /dev/zero | openssl enc -aes-128-ctr -nosalt -pass pass:x -md sha256 2>/dev/null";
        host.check(&format!(
            "{sums} | curl -sS -T - -H 'Transfer-Encoding:' -H 'Content-Length: 104857600' {page}"
        ))
    };
    assert_eq!(upload(client).unwrap(), upload(site.lab.server()).unwrap());
}

#[test]
fn both_directions_at_once_arrive_whole() {
    let site = Site::new();
    let _shuttle = site.start_inner();
    let sent = pattern(32 * MEBIBYTE);
    let stream = connect(site.lab.client(), site.lab.inner().address_v6(), port::ECHO).unwrap();
    assert!(exchange(&stream, &sent).unwrap() == sent);
}

#[test]
fn who_stops_reading_stops_nobody_else_and_fills_no_memory() {
    let site = Site::new();
    let shuttle = site.start_inner();
    let (client, inner) = (site.lab.client(), site.lab.inner().address_v4());
    // Warm: what every transfer needs is there before it is measured.
    let page = format!("curl -sS http://{inner}/20M | wc -c");
    assert_eq!(client.check(&page).unwrap().trim(), "20971520");
    let agent = site.agent();
    let before = (shuttle.memory(), resident(agent));

    let unread = connect(client, inner, port::SOURCE).unwrap();
    let mut unheard = connect(client, inner, port::DEAF).unwrap();
    unheard.set_nonblocking(true).unwrap();
    let block = pattern(MEBIBYTE);
    for _ in 0..5 {
        while unheard.write(&block).is_ok() {}
        // Meanwhile the others have their full way.
        assert_eq!(client.check(&page).unwrap().trim(), "20971520");
    }
    let growth = (shuttle.memory().saturating_sub(before.0), resident(agent).saturating_sub(before.1));
    println!("growth of daemon and agent: {growth:?} KiB");
    // One window of at most 4 MiB each, and room for how memory is given out.
    assert!(growth.0 < 10 * 1024 && growth.1 < 10 * 1024, "daemon and agent grew by {growth:?} KiB");
    drop(unread);
}

#[test]
fn five_hundred_connections_at_once_work() {
    let site = Site::new();
    let shuttle = site.start_inner();
    let (client, addresses) = (site.lab.client(), inner(&site));
    let streams: Vec<TcpStream> =
        (0..500).map(|n| connect(client, addresses[n % 2], port::ECHO).unwrap()).collect();
    for _ in 0..2 {
        streams.iter().for_each(|stream| talk(stream).unwrap());
    }
    drop(streams);
    let ends = || {
        let list =
            |host: &lab::Host| host.check("ss -Htn | awk '{print $1, $2, $3}' | sort | uniq -c").unwrap();
        format!(
            "left over there; client:\n{}server:\n{}inner:\n{}",
            list(client),
            list(site.lab.server()),
            list(site.lab.inner())
        )
    };
    eventually(|| site.lab.services()[0].open() == 0, ends);
    shuttle.stop();
    site.nothing_is_left();
}
