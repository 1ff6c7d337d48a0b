//! What holds for any sequence of operations, over any link, in any pieces.

mod pair;
mod wire;

use pair::script::{End, Operation, Script};
use proptest::prelude::*;
use shuttle_proto::{Connection, Side};
use wire::*;

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Client), Just(End::Agent)]
}

fn honest_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0u16..20_000, 0u16..20_000, any::<bool>())
            .prop_map(|(up, down, finish)| Operation::Open { up, down, finish }),
        2 => (end(), any::<u8>(), 0u16..9000)
            .prop_map(|(by, stream, count)| Operation::Offer { by, stream, count }),
        2 => (end(), any::<u8>()).prop_map(|(by, stream)| Operation::Finish { by, stream }),
        2 => (end(), any::<u8>()).prop_map(|(by, stream)| Operation::Reset { by, stream }),
        1 => (end(), any::<u8>()).prop_map(|(by, stream)| Operation::Stall { by, stream }),
        1 => (end(), any::<u8>()).prop_map(|(by, stream)| Operation::Read { by, stream }),
        6 => any::<u16>().prop_map(|micros| Operation::Wait { micros }),
        1 => Just(Operation::Cut),
        2 => Just(Operation::Connect),
        1 => any::<u8>().prop_map(|size| Operation::Segment { size }),
    ]
}

fn any_operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => honest_operation(),
        1 => (end(), any::<u8>(), any::<u8>(), any::<u8>(), any::<u64>()).prop_map(
            |(to, kind, stream, length, value)| Operation::Inject { to, kind, stream, length, value }),
    ]
}

fn script(operation: impl Strategy<Value = Operation>) -> impl Strategy<Value = Script> {
    let operations = prop::collection::vec(operation, 0..80);
    (any::<u8>(), any::<u8>(), any::<u8>(), operations).prop_map(|(rate, delay, buffer, operations)| Script {
        rate,
        delay,
        buffer,
        operations,
    })
}

/// A connection in which there is something to break.
fn busy(side: Side) -> Connection {
    let mut connection = connection(side);
    match side {
        Side::Client => {
            for count in [0, 100, 100, 0] {
                let stream = connection.open(NOW, &target()).expect("a free stream");
                connection.ready(stream);
                fill(&mut connection, count);
            }
        }
        Side::Agent => {
            feed(&mut connection, &[open(0), open(1), data(1, 10), open(2)].concat(), 100)
                .expect("no violation");
        }
    }
    sent_by(&mut connection);
    connection
}

proptest! {
    #[test]
    fn honest_ends_lose_nothing_and_free_everything(script in script(honest_operation())) {
        script.run();
    }

    #[test]
    fn a_hostile_peer_costs_no_more_than_was_promised(script in script(any_operation())) {
        script.run();
    }

    #[test]
    fn any_bytes_mean_the_same_in_any_pieces(
        // Bytes that are near to frames: random ones end at the first header.
        frames in prop::collection::vec((0u8..10, 0u8..4, 0u8..24, any::<[u8; 24]>()), 0..40),
        tail in prop::collection::vec(any::<u8>(), 0..40),
        chunk in 1usize..60,
    ) {
        let mut wire = Vec::new();
        for (kind, stream, length, payload) in frames {
            let kind = if kind == 9 { 0x80 } else { kind };
            wire.extend_from_slice(&[kind, 0, 0, stream, 0, length]);
            wire.extend_from_slice(&payload[..length.into()]);
        }
        wire.extend(tail);
        for side in [Side::Client, Side::Agent] {
            let (mut whole, mut pieces) = (busy(side), busy(side));
            let in_one = feed(&mut whole, &wire, wire.len().max(1)).err();
            let in_pieces = feed(&mut pieces, &wire, chunk).err();
            prop_assert_eq!(in_one, in_pieces);
            // What a violation leaves of the frame that it is in depends on the pieces.
            if in_one.is_none() {
                prop_assert_eq!(whole.stats(), pieces.stats());
                prop_assert_eq!(sent_by(&mut whole), sent_by(&mut pieces));
            }
        }
    }
}
