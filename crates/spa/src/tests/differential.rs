//! The core beside `snow`: what it writes we read, what we write it reads, and both end with the same hash.

use proptest::prelude::*;
use snow::Builder;

use crate::noise::State;
use crate::seal::message;
use crate::{Psk, SecretKey};

const NAME: &str = "Noise_Xpsk1_25519_ChaChaPoly_SHA256";

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn snow_agrees(
        server in any::<[u8; 32]>(), device in any::<[u8; 32]>(), ephemeral in any::<[u8; 32]>(), psk in any::<[u8; 32]>(),
        prologue in proptest::collection::vec(any::<u8>(), 0..80), payload in proptest::collection::vec(any::<u8>(), 32..=1120),
    ) {
        let (server_key, device_key) = (SecretKey::new(&server), SecretKey::new(&device));
        let params = || NAME.parse().expect("a pattern");
        let mut reader = Builder::new(params())
            .prologue(&prologue).expect("prologue").local_private_key(&server).expect("key").psk(1, &psk).expect("psk")
            .build_responder().expect("a responder");
        let mut writer = Builder::new(params())
            .prologue(&prologue).expect("prologue").local_private_key(&device).expect("key").psk(1, &psk).expect("psk")
            .remote_public_key(server_key.public().as_bytes()).expect("key").fixed_ephemeral_key_for_testing_only(&ephemeral)
            .build_initiator().expect("an initiator");
        let mut ours = State::new(&[&prologue], &server_key.public());
        let (public, rest) = message(
            &mut ours, &device_key, &Psk::new(psk), &server_key.public(), &payload, &SecretKey::new(&ephemeral),
        ).expect("written");
        let mut theirs = vec![0; 2000];
        let length = writer.write_message(&payload, &mut theirs).expect("written");
        prop_assert_eq!(&theirs[..length], &[public.as_bytes().as_slice(), &rest].concat());
        prop_assert_eq!(writer.get_handshake_hash(), ours.handshake_hash());
        let mut read = vec![0; 2000];
        let length = reader.read_message(&theirs[..length], &mut read).expect("read");
        prop_assert_eq!(&read[..length], &payload);
        prop_assert_eq!(reader.get_handshake_hash(), ours.handshake_hash());
    }
}
