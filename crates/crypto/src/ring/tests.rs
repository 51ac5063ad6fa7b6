//! What a ring promises: rotation, binding, and silence about its keys.

use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;

const BINDING: Binding<'static> =
    Binding { owner: b"owner-0123456789", type_id: b"type-9876543210", slot: "token", row: b"row-1" };

fn rng(seed: u8) -> StdRng {
    StdRng::from_seed([seed; 32])
}

fn ring_of(seeds: &[u8]) -> KeyRing {
    let text: Vec<String> = seeds
        .iter()
        .map(|seed| MasterKey::generate(&mut rng(*seed)).to_hex().expose_secret().to_owned())
        .collect();
    KeyRing::parse(&text.join("\n")).unwrap()
}

#[test]
fn what_is_sealed_opens_under_the_same_binding() {
    let ring = KeyRing::generate(&mut rng(1));
    let sealed = ring.seal(&mut rng(2), &BINDING, "s3cret");
    assert_eq!(ring.open_text(&BINDING, &sealed).unwrap().expose_secret(), "s3cret");
}

#[test]
fn an_empty_secret_can_be_sealed_and_is_still_protected() {
    let ring = KeyRing::generate(&mut rng(1));
    let mut sealed = ring.seal(&mut rng(2), &BINDING, "");
    assert_eq!(sealed.len(), sealed::OVERHEAD_BYTES);
    assert!(ring.open(&BINDING, &sealed).unwrap().expose_secret().is_empty());
    *sealed.last_mut().unwrap() ^= 1;
    assert_eq!(ring.open(&BINDING, &sealed).unwrap_err(), OpenError::Tampered);
}

#[test]
fn two_seals_of_one_secret_share_neither_nonce_nor_ciphertext() {
    let ring = KeyRing::generate(&mut rng(1));
    let mut source = rng(2);
    let one = ring.seal(&mut source, &BINDING, "s3cret");
    let two = ring.seal(&mut source, &BINDING, "s3cret");
    assert_eq!(one[..5], two[..5], "same version and key id");
    assert_ne!(one[5..17], two[5..17]);
    assert_ne!(one[17..], two[17..]);
}

#[test]
fn a_value_moved_to_another_row_slot_type_or_owner_is_refused() {
    let ring = KeyRing::generate(&mut rng(1));
    let sealed = ring.seal(&mut rng(2), &BINDING, "s3cret");
    for elsewhere in [
        Binding { row: b"row-2", ..BINDING },
        Binding { slot: "other", ..BINDING },
        Binding { type_id: b"type-9876543211", ..BINDING },
        Binding { owner: b"owner-0123456780", ..BINDING },
        Binding { owner: BINDING.row, row: BINDING.owner, ..BINDING },
        Binding { row: b"", ..BINDING },
    ] {
        assert_eq!(ring.open(&elsewhere, &sealed).unwrap_err(), OpenError::Tampered, "{elsewhere:?}");
    }
}

#[test]
fn changing_any_bit_of_a_sealed_value_is_noticed() {
    let ring = KeyRing::generate(&mut rng(1));
    let sealed = ring.seal(&mut rng(2), &BINDING, "a secret longer than one block");
    for position in 0..sealed.len() {
        for bit in 0..8 {
            let mut changed = sealed.clone();
            changed[position] ^= 1 << bit;
            let error = ring.open(&BINDING, &changed).unwrap_err();
            match position {
                0 => assert!(matches!(error, OpenError::UnknownVersion { .. }), "{position}: {error}"),
                1..5 => assert!(matches!(error, OpenError::UnknownKey { .. }), "{position}: {error}"),
                _ => assert_eq!(error, OpenError::Tampered, "{position}"),
            }
        }
    }
}

#[test]
fn a_value_cut_or_lengthened_anywhere_is_refused() {
    let ring = KeyRing::generate(&mut rng(1));
    let sealed = ring.seal(&mut rng(2), &BINDING, "s3cret");
    for length in 0..sealed.len() {
        let error = ring.open(&BINDING, &sealed[..length]).unwrap_err();
        match length {
            0..sealed::OVERHEAD_BYTES => assert_eq!(error, OpenError::TooShort { length }),
            _ => assert_eq!(error, OpenError::Tampered),
        }
    }
    let longer = [&sealed[..], &[0]].concat();
    assert_eq!(ring.open(&BINDING, &longer).unwrap_err(), OpenError::Tampered);
}

#[test]
fn after_a_rotation_old_values_still_open_and_ask_to_be_sealed_anew() {
    let old = ring_of(&[1]);
    let sealed = old.seal(&mut rng(9), &BINDING, "s3cret");
    assert!(!old.needs_rotation(&sealed));

    let both = ring_of(&[2, 1]);
    assert!(both.needs_rotation(&sealed));
    let opened = both.open(&BINDING, &sealed).unwrap();
    let resealed = both.seal(&mut rng(10), &BINDING, opened.expose_secret());
    assert!(!both.needs_rotation(&resealed));

    let new = ring_of(&[2]);
    assert_eq!(new.open_text(&BINDING, &resealed).unwrap().expose_secret(), "s3cret");
    let missing = old.sealing_key();
    assert_eq!(new.open(&BINDING, &sealed).unwrap_err(), OpenError::UnknownKey { key: missing });
}

#[test]
fn a_missing_key_is_named_by_its_id() {
    let sealed = ring_of(&[1]).seal(&mut rng(9), &BINDING, "s3cret");
    let error = ring_of(&[2]).open(&BINDING, &sealed).unwrap_err();
    assert!(error.to_string().contains(&ring_of(&[1]).sealing_key().to_string()), "{error}");
}

#[test]
fn a_key_with_a_forged_id_opens_nothing() {
    let sealed = ring_of(&[1]).seal(&mut rng(9), &BINDING, "s3cret");
    let other = ring_of(&[2]);
    let mut forged = sealed;
    forged[1..5].copy_from_slice(&other.sealing_key().to_be_bytes());
    assert_eq!(other.open(&BINDING, &forged).unwrap_err(), OpenError::Tampered);
}

#[test]
fn the_self_test_passes_with_the_same_keys_and_fails_with_others() {
    let ring = ring_of(&[1]);
    let probe = ring.self_test_value(&mut rng(9));
    assert_eq!(ring.check_self_test(&probe), Ok(()));
    assert_eq!(ring_of(&[2, 1]).check_self_test(&probe), Ok(()));
    assert!(matches!(ring_of(&[2]).check_self_test(&probe), Err(OpenError::UnknownKey { .. })));
    let credential = ring.seal(&mut rng(9), &BINDING, SELF_TEST);
    assert_eq!(ring.check_self_test(&credential), Err(OpenError::Tampered));
}

#[test]
fn a_ring_is_read_from_lines_commas_and_comments_in_order() {
    let keys: Vec<MasterKey> = (1..=3).map(|seed| MasterKey::generate(&mut rng(seed))).collect();
    let hex: Vec<SecretString> = keys.iter().map(MasterKey::to_hex).collect();
    let [one, two, three] = [0, 1, 2].map(|index| hex[index].expose_secret());
    let ring = KeyRing::parse(&format!("# newest first\r\n\n {one} # today\r\n{two},{three},\n")).unwrap();
    assert_eq!(ring.key_ids().collect::<Vec<_>>(), keys.iter().map(MasterKey::id).collect::<Vec<_>>());
    assert_eq!(ring.sealing_key(), keys[0].id());
}

#[test]
fn a_ring_survives_being_written_and_read() {
    let ring = ring_of(&[1, 2, 3]);
    let read = KeyRing::parse(ring.to_text().expose_secret()).unwrap();
    assert_eq!(read.key_ids().collect::<Vec<_>>(), ring.key_ids().collect::<Vec<_>>());
    let sealed = ring.seal(&mut rng(9), &BINDING, "s3cret");
    assert!(read.open(&BINDING, &sealed).is_ok());
}

#[test]
fn a_mistake_in_a_ring_names_its_line_and_repeats_no_key() {
    let good = MasterKey::generate(&mut rng(1)).to_hex();
    let good = good.expose_secret();
    let error = KeyRing::parse(&format!("{good}\n\nnot-a-key")).unwrap_err();
    assert_eq!(error, KeyRingError::Key { line: 3, source: MasterKeyError::Length { length: 9 } });
    assert_eq!(error.to_string(), "could not read the master key on line 3 of the key ring");
    let error = KeyRing::parse(&format!("{good}\n{good}")).unwrap_err();
    assert_eq!(error, KeyRingError::Duplicate { line: 2 });
    assert!(!error.to_string().contains(good));
    assert_eq!(KeyRing::parse(" \n# nothing\n,,").unwrap_err(), KeyRingError::Empty);
}

#[test]
fn a_ring_that_only_grows_is_refused() {
    let text: Vec<String> = (0..=MAX_KEYS)
        .map(|seed| {
            let key = MasterKey::generate(&mut rng(u8::try_from(seed).unwrap()));
            key.to_hex().expose_secret().to_owned()
        })
        .collect();
    assert_eq!(KeyRing::parse(&text.join(",")).unwrap_err(), KeyRingError::TooMany);
    assert!(KeyRing::parse(&text[1..].join(",")).is_ok());
}

#[test]
fn bytes_that_are_no_text_open_as_bytes_only() {
    let ring = KeyRing::generate(&mut rng(1));
    let sealed = ring.seal(&mut rng(2), &BINDING, [0xff, 0xfe]);
    assert_eq!(ring.open_text(&BINDING, &sealed).unwrap_err(), OpenError::NotText);
    assert_eq!(ring.open(&BINDING, &sealed).unwrap().expose_secret(), [0xff, 0xfe]);
}

#[test]
fn debug_of_a_ring_and_of_what_it_opened_shows_ids_only() {
    let ring = ring_of(&[1]);
    let sealed = ring.seal(&mut rng(2), &BINDING, "canary-value");
    let shown = format!("{ring:?} {:?}", ring.open_text(&BINDING, &sealed).unwrap());
    assert!(shown.contains(&ring.sealing_key().to_string()), "{shown}");
    assert!(!shown.contains("canary"), "{shown}");
    let text = ring.to_text();
    assert!(!shown.contains(text.expose_secret().trim()), "{shown}");
}

proptest! {
    #[test]
    fn any_secret_survives_under_any_binding(
        secret in proptest::collection::vec(any::<u8>(), 0..300),
        owner in proptest::collection::vec(any::<u8>(), 0..20),
        type_id in proptest::collection::vec(any::<u8>(), 0..20),
        slot in ".{0,20}",
        row in proptest::collection::vec(any::<u8>(), 0..20),
        seed in any::<u8>(),
    ) {
        let ring = KeyRing::generate(&mut rng(1));
        let binding = Binding { owner: &owner, type_id: &type_id, slot: &slot, row: &row };
        let sealed = ring.seal(&mut rng(seed), &binding, &secret);
        prop_assert_eq!(sealed.len(), secret.len() + sealed::OVERHEAD_BYTES);
        let opened = ring.open(&binding, &sealed).unwrap();
        prop_assert_eq!(opened.expose_secret(), &secret[..]);
    }

    #[test]
    fn arbitrary_bytes_never_open_and_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let ring = KeyRing::generate(&mut rng(1));
        prop_assert!(ring.open(&BINDING, &bytes).is_err());
        let _ = ring.needs_rotation(&bytes);
    }

    #[test]
    fn arbitrary_text_never_makes_the_ring_parser_panic(text in ".{0,200}") {
        let _ = KeyRing::parse(&text);
    }
}

#[test]
fn a_derived_secret_depends_on_key_label_and_context_and_comes_back_after_a_rotation() {
    let first =
        |ring: &KeyRing, label, context: &[u8]| *ring.derive(label, context).next().unwrap().expose_secret();
    let ring = ring_of(&[1]);
    let secret = first(&ring, "control", b"one");
    assert_eq!(secret, first(&ring_of(&[1]), "control", b"one"));
    for other in [
        first(&ring, "control", b"two"),
        first(&ring, "other", b"one"),
        first(&ring_of(&[2]), "control", b"one"),
    ] {
        assert_ne!(secret, other);
    }
    let rotated = ring_of(&[2, 1]);
    assert!(rotated.derive("control", b"one").any(|derived| *derived.expose_secret() == secret));
}

#[test]
fn a_new_key_seals_and_the_old_ones_still_open_until_they_are_taken_out() {
    let old = ring_of(&[1]);
    let sealed = old.seal(&mut rng(9), &BINDING, "s3cret");
    let new = MasterKey::generate(&mut rng(2));
    let both = old.with_new_first(new.clone()).unwrap();
    assert_eq!(both.key_ids().collect::<Vec<_>>(), [new.id(), old.sealing_key()]);
    assert!(both.needs_rotation(&sealed) && both.open(&BINDING, &sealed).is_ok());
    assert_eq!(both.with_new_first(new.clone()).unwrap_err(), RingChangeError::Duplicate { key: new.id() });

    let only = both.without(old.sealing_key()).unwrap();
    assert_eq!(only.key_ids().collect::<Vec<_>>(), [new.id()]);
    assert!(matches!(only.open(&BINDING, &sealed), Err(OpenError::UnknownKey { .. })));
    assert_eq!(only.without(new.id()).unwrap_err(), RingChangeError::Seals { key: new.id() });
    let gone = RingChangeError::Unknown { key: old.sealing_key() };
    assert_eq!(only.without(old.sealing_key()).unwrap_err(), gone);
}

#[test]
fn a_ring_takes_no_more_keys_than_it_may_hold() {
    let mut ring = ring_of(&[0]);
    for seed in 1..MAX_KEYS {
        ring = ring.with_new_first(MasterKey::generate(&mut rng(u8::try_from(seed).unwrap()))).unwrap();
    }
    let more = MasterKey::generate(&mut rng(200));
    assert_eq!(ring.with_new_first(more).unwrap_err(), RingChangeError::Full);
}

#[test]
fn the_id_of_a_key_is_read_as_it_is_written() {
    let id = ring_of(&[1]).sealing_key();
    assert_eq!(id.to_string().parse(), Ok(id));
    assert_eq!(KeyId::from_number(id.get()), id);
    for wrong in ["", "1234567", "123456789", "+1234567", "1234567g", "0x123456"] {
        assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
    }
}

/// Where a value may be sealed for: few enough that two are often alike in all parts but one.
fn place() -> impl Strategy<Value = [Vec<u8>; 3]> {
    let part = || proptest::collection::vec(0_u8..3, 0..4);
    [part(), part(), part()]
}

proptest! {
    #[test]
    fn a_value_opens_in_its_own_place_and_in_no_other(
        own in place(), own_slot in "[ab]{0,3}", other in place(), other_slot in "[ab]{0,3}", seed in any::<u8>(),
    ) {
        let ring = KeyRing::generate(&mut rng(1));
        let binding = |[owner, type_id, row]: &[Vec<u8>; 3], slot: &str, seal: bool, sealed: &[u8]| {
            let binding = Binding { owner, type_id, slot, row };
            if seal { Ok(ring.seal(&mut rng(seed), &binding, "s3cret")) } else {
                ring.open(&binding, sealed).map(|opened| opened.expose_secret().to_vec())
            }
        };
        let sealed = binding(&own, &own_slot, true, &[]).unwrap();
        let opened = binding(&other, &other_slot, false, &sealed);
        prop_assert_eq!(opened.is_ok(), (&own, &own_slot) == (&other, &other_slot));
        // Bytes that move from one part to the next make another place, too.
        let mut moved = own.clone();
        if let Some(byte) = moved[0].pop() {
            moved[1].insert(0, byte);
            prop_assert!(binding(&moved, &own_slot, false, &sealed).is_err());
        }
    }

    #[test]
    fn two_values_that_changed_places_open_in_neither(
        owners in proptest::array::uniform2(any::<[u8; 16]>()),
        rows in proptest::array::uniform2(any::<[u8; 16]>()),
        slots in proptest::array::uniform2("[a-z]{1,10}"),
        which in 0_usize..3,
    ) {
        // They differ in owner, slot or row, and in nothing else.
        let pick = |index: usize, part: usize| if which == part { index } else { 0 };
        let bindings = [0, 1].map(|index| Binding {
            owner: &owners[pick(index, 0)], type_id: b"type", slot: &slots[pick(index, 1)], row: &rows[pick(index, 2)],
        });
        prop_assume!(bindings[0] != bindings[1]);
        let ring = KeyRing::generate(&mut rng(1));
        let mut source = rng(2);
        let sealed = bindings.map(|binding| ring.seal(&mut source, &binding, "s3cret"));
        prop_assert_eq!(ring.open(&bindings[0], &sealed[1]).unwrap_err(), OpenError::Tampered);
        prop_assert_eq!(ring.open(&bindings[1], &sealed[0]).unwrap_err(), OpenError::Tampered);
    }
}
