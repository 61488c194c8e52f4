//! SHA-256 and SHA-512 against FIPS 180-4's published examples and against another implementation, in pieces of
//! every size.

use hex_literal::hex;
use sha2::Digest;
use signature::Portable;

type Sha256 = signature::Sha256<Portable>;
type Sha512 = signature::Sha512<Portable>;

fn sha_256(message: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(message);
    hash.finish()
}

fn sha_512(message: &[u8]) -> [u8; 64] {
    let mut hash = Sha512::default();
    hash.update(message);
    hash.finish()
}

#[test]
fn examples_of_nist() {
    assert_eq!(
        sha_256(b""),
        hex!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    );
    assert_eq!(
        sha_256(b"abc"),
        hex!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    );
    assert_eq!(
        sha_256(b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
        hex!("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    );
    assert_eq!(
        sha_256(&[b'a'; 1_000_000]),
        hex!("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    );
    assert_eq!(
        sha_512(b""),
        hex!(
            "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
            "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
        )
    );
    assert_eq!(
        sha_512(b"abc"),
        hex!(
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
            "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"
        )
    );
    assert_eq!(
        sha_512(
            b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn\
              hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu"
        ),
        hex!(
            "8e959b75dae313da8cf4f72814fc143f8f7779c6eb9f7fa17299aeadb6889018"
            "501d289e4900f7e4331b99dec4b5433ac7d329eeb6dd26545e96e55b874be909"
        )
    );
}

#[test]
fn every_length_agrees_with_another_implementation_however_it_is_cut() {
    let message: Vec<u8> = (0..600_u32).map(|i| ((i * 167) >> 3) as u8).collect();
    for length in 0..=300 {
        let message = &message[..length];
        assert_eq!(sha_256(message), *sha2::Sha256::digest(message));
        assert_eq!(sha_512(message), *sha2::Sha512::digest(message));
    }
    for piece in 1..=300 {
        let (mut short, mut long) = (Sha256::new(), Sha512::new());
        for part in message.chunks(piece) {
            short.update(part);
            long.update(part);
        }
        assert_eq!(short.finish(), sha_256(&message));
        assert_eq!(long.finish(), sha_512(&message));
    }
}

#[test]
fn a_clone_goes_on_by_itself() {
    let mut hash = Sha256::new();
    hash.update(b"ab");
    let other = hash.clone();
    hash.update(b"c");
    assert_eq!(hash.finish(), sha_256(b"abc"));
    assert_eq!(other.finish(), sha_256(b"ab"));
}
