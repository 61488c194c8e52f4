//! Ed25519 keys as they lie in files: private ones in PKCS#8 PEM, as imgtool and openssl write them.
//! Must never print or copy a private key.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use ed25519_compact::KeyPair;
use sha2::{Digest, Sha256};

/// The start of a DER `SubjectPublicKeyInfo` for Ed25519 (RFC 8410, section 4); 32 bytes of key follow.
const PUBLIC_KEY_INFO: [u8; 12] = [
    0x30, 0x2A, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x03, 0x21, 0x00,
];

/// A key that signs firmware.
pub struct SigningKey(KeyPair);

impl SigningKey {
    /// Reads a private key from a PEM file.
    ///
    /// # Errors
    /// When the file cannot be read or holds no Ed25519 private key.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path)
            .with_context(|| format!("could not read the key {}", path.display()))?;
        Self::from_pem(&text).with_context(|| format!("{} is not a usable key", path.display()))
    }

    /// Reads a private key from the text of a PEM file.
    ///
    /// # Errors
    /// When it is no Ed25519 private key.
    pub fn from_pem(text: &str) -> Result<Self> {
        let pair = KeyPair::from_pem(text).map_err(|error| {
            anyhow!("expected an unencrypted Ed25519 private key in PKCS#8 PEM (`openssl genpkey -algorithm ed25519`): {error}")
        })?;
        Ok(Self(pair))
    }

    /// The 32 bytes that a bootloader checks signatures with.
    pub fn public(&self) -> [u8; 32] {
        *self.0.pk
    }

    /// How MCUboot names a key: the SHA-256 of its DER public key.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::new()
            .chain_update(PUBLIC_KEY_INFO)
            .chain_update(self.public())
            .finalize()
            .into()
    }

    /// Signs a message. The same message always gets the same signature (RFC 8032), so builds are reproducible.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        *self.0.sk.sign(message, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The private key of RFC 8410, section 10.3, and its public key from section 10.1.
    const RFC_KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

    #[test]
    fn a_pem_key_gives_the_public_key_of_the_standard() {
        let key = SigningKey::from_pem(RFC_KEY).expect("the standard's own key");
        assert_eq!(key.public()[..4], [0x19, 0xBF, 0x44, 0x09]);
    }

    #[test]
    fn the_development_public_key_belongs_to_the_development_key() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../firmware/keys");
        let key =
            SigningKey::read(&folder.join("development-key.pem")).expect("the development key");
        let public = fs::read(folder.join("development-key.public")).expect("its public half");
        assert_eq!(public, key.public());
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        assert!(SigningKey::from_pem("").is_err());
        assert!(SigningKey::from_pem(&RFC_KEY.replace("MC4C", "MC4D")).is_err());
        assert!(SigningKey::from_pem(&RFC_KEY.replace("PRIVATE", "PUBLIC")).is_err());
    }
}
