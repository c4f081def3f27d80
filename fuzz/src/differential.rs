//! Sealing beside a second client on `snow`: both make the same datagram byte for byte, whatever the keys, the request and
//! the padding, and `snow` reads ours (spec/spa.md, sections 4 to 6 and 9).

use std::net::{IpAddr, Ipv6Addr};

use aldaba_spa::{Audience, DoorTag, MAX_PADDING, Operation, Psk, Request, SecretKey, Timestamp, seal};

use crate::input::Input;
use crate::spa::client::{Device, Gate};

/// Checks one input: keys, then the request, then the audience.
///
/// # Panics
/// If the two differ.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (server, gate_psk, random) = (input.take(), input.take(), input.take());
    let device = Device { secret: input.take(), psk: input.take() };
    let padding = usize::from(u16::from_be_bytes(input.take())) % (MAX_PADDING + 1);
    let request = request(&mut input);
    let audience: String = input.rest().iter().take(64).map(|byte| char::from(b' ' + byte % 95)).collect();

    let lock = SecretKey::new(&server).lock(Psk::new(gate_psk), Audience::new(&audience).expect("printable"));
    let ours =
        seal(&SecretKey::new(&device.secret), &Psk::new(device.psk), &lock, &request, padding, &random)
            .expect("sealed");

    let gate = Gate::new(lock.server.as_bytes(), &gate_psk, &audience);
    let mut plaintext = request.encode().to_vec();
    plaintext.resize(32 + padding, 0);
    let ephemeral = gate.hedged(&device, &plaintext, &random);
    let theirs = gate.wrap(&gate.message(&device, &plaintext, &ephemeral));
    assert_eq!(ours.datagram, theirs);
    assert_eq!(ours.id.0, gate.knock_id(&theirs));

    let (ephemeral, rest) = gate.unwrap(&ours.datagram).expect("its tag");
    let message = [ephemeral.as_slice(), rest].concat();
    let (key, read) = gate.read(&server, &device.psk, &message).expect("it opens");
    assert_eq!((key, read), (*SecretKey::new(&device.secret).public().as_bytes(), plaintext));
    let mut forged = message;
    let end = forged.len();
    forged[usize::from(random[0]) % end] ^= 1;
    assert!(gate.read(&server, &device.psk, &forged).is_none(), "a changed byte");
}

fn request(input: &mut Input<'_>) -> Request {
    let kind = input.byte();
    let door = DoorTag::of(if kind & 4 == 0 { "ssh" } else { "web" }).expect("a tag");
    let operation = match kind % 3 {
        0 => {
            let seconds = u16::from_be_bytes(input.take());
            let address = if kind & 8 == 0 {
                IpAddr::from(input.take::<4>())
            } else {
                Ipv6Addr::from(input.take::<16>()).to_canonical()
            };
            let is_set = kind & 16 != 0 && address != IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            Operation::Open { door, seconds, bound: is_set.then_some(address) }
        }
        1 => Operation::Close { door },
        _ => Operation::Hello,
    };
    let request = Request { operation, time: Timestamp(u64::from_be_bytes(input.take())) };
    assert_eq!(Request::decode(&request.encode()), Ok(request));
    request
}
