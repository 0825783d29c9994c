//! Seals secrets at rest. Besides the request that creates a container, this
//! is the only room where plaintext secrets exist.
//!
//! XChaCha20-Poly1305 with a random nonce; the associated data binds a value
//! to its server and key, so that a sealed value moved elsewhere in the
//! database does not open.

mod mask;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::model::{Error, ServerId};

pub use mask::Mask;

const NONCE_BYTES: usize = 24;
const CANARY_PLACE: &str = "emcp canary";
const CANARY_TEXT: &str = "emcp-canary-1";

/// A sealed value, as stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    /// Which master key sealed it, for rotation.
    pub key_id: String,
    /// Hexadecimal.
    nonce: String,
    /// Ciphertext and tag, hexadecimal.
    ciphertext: String,
}

/// Where a sealed value belongs; the associated data of the seal.
#[derive(Debug, Clone, Copy)]
pub enum Place<'a> {
    /// An environment variable of a server.
    Env(ServerId, &'a str),
    /// The gateway key of a server's container.
    GatewayKey(ServerId),
    /// A dashboard session, kept by the browser.
    Session,
    /// An SSE session of a server, kept by an MCP client.
    SseSession(ServerId),
    /// The opening of an SSE session of a server, in a redirect.
    SseOpening(ServerId),
}

impl Place<'_> {
    fn associated_data(&self) -> String {
        match self {
            Self::Env(server, key) => format!("env {server} {key}"),
            Self::GatewayKey(server) => format!("gateway-key {server}"),
            Self::Session => "session".to_owned(),
            Self::SseSession(server) => format!("sse-session {server}"),
            Self::SseOpening(server) => format!("sse-opening {server}"),
        }
    }
}

/// The master key, and the two things that may be done with it.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    key_id: String,
}

impl Vault {
    /// A vault under a 256-bit master key.
    pub fn new(master_key: &[u8; 32]) -> Self {
        let digest = Sha256::digest([b"emcp key id".as_slice(), master_key].concat());
        Self {
            cipher: XChaCha20Poly1305::new(&Key::from(*master_key)),
            key_id: hex::encode(&digest[..8]),
        }
    }

    /// Seals a value for one place.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn seal(&self, place: Place<'_>, plaintext: &str) -> Result<Sealed, Error> {
        self.seal_as(&place.associated_data(), plaintext)
    }

    /// Opens a value sealed for the same place.
    ///
    /// # Errors
    /// If it was sealed under another key or for another place, or altered.
    pub fn open(&self, place: Place<'_>, sealed: &Sealed) -> Result<SecretString, Error> {
        self.open_as(&place.associated_data(), sealed)
    }

    /// Seals a value as one word of URL-safe text, for what others keep for us.
    ///
    /// # Errors
    /// As [`Vault::seal`].
    pub fn seal_word(&self, place: Place<'_>, plaintext: &str) -> Result<String, Error> {
        let (nonce, ciphertext) = self.encrypt(&place.associated_data(), plaintext)?;
        Ok(BASE64_URL_SAFE_NO_PAD.encode([nonce.as_slice(), &ciphertext].concat()))
    }

    /// Opens a word that [`Vault::seal_word`] made for the same place; `None`
    /// for every other text.
    pub fn open_word(&self, place: Place<'_>, word: &str) -> Option<SecretString> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(word).ok()?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_BYTES>()?;
        self.decrypt(&place.associated_data(), *nonce, ciphertext)
    }

    /// A sealed known text by which a later start recognises the same key.
    ///
    /// # Errors
    /// As [`Vault::seal`].
    pub fn canary(&self) -> Result<Sealed, Error> {
        self.seal_as(CANARY_PLACE, CANARY_TEXT)
    }

    /// Whether this vault's key made the canary.
    pub fn knows(&self, canary: &Sealed) -> bool {
        self.open_as(CANARY_PLACE, canary)
            .is_ok_and(|text| text.expose_secret() == CANARY_TEXT)
    }

    fn seal_as(&self, place: &str, plaintext: &str) -> Result<Sealed, Error> {
        let (nonce, ciphertext) = self.encrypt(place, plaintext)?;
        Ok(Sealed {
            key_id: self.key_id.clone(),
            nonce: hex::encode(nonce),
            ciphertext: hex::encode(ciphertext),
        })
    }

    fn open_as(&self, place: &str, sealed: &Sealed) -> Result<SecretString, Error> {
        let cannot = || {
            Error::Internal(format!(
                "a sealed value ({place}) does not open: wrong master key or altered data"
            ))
        };
        let mut nonce = [0_u8; NONCE_BYTES];
        hex::decode_to_slice(&sealed.nonce, &mut nonce).map_err(|_| cannot())?;
        let ciphertext = hex::decode(&sealed.ciphertext).map_err(|_| cannot())?;
        self.decrypt(place, nonce, &ciphertext).ok_or_else(cannot)
    }

    fn encrypt(&self, place: &str, plaintext: &str) -> Result<([u8; NONCE_BYTES], Vec<u8>), Error> {
        let nonce: [u8; NONCE_BYTES] = random_bytes()?;
        let payload = Payload {
            msg: plaintext.as_bytes(),
            aad: place.as_bytes(),
        };
        let ciphertext = self
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::Internal("sealing a secret failed".to_owned()))?;
        Ok((nonce, ciphertext))
    }

    fn decrypt(
        &self,
        place: &str,
        nonce: [u8; NONCE_BYTES],
        ciphertext: &[u8],
    ) -> Option<SecretString> {
        let payload = Payload {
            msg: ciphertext,
            aad: place.as_bytes(),
        };
        let plaintext = self.cipher.decrypt(&XNonce::from(nonce), payload).ok()?;
        String::from_utf8(plaintext).map(SecretString::from).ok()
    }
}

/// Random bytes from the operating system.
///
/// # Errors
/// If the system gives none.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0_u8; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Error::internal("the system gave no randomness", error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let vault = Vault::new(&[7; 32]);
        let (one, other) = (ServerId::new(), ServerId::new());
        let sealed = vault.seal(Place::Env(one, "TOKEN"), "hunter2").unwrap();
        let opened = vault.open(Place::Env(one, "TOKEN"), &sealed).unwrap();
        assert_eq!(opened.expose_secret(), "hunter2");
        assert!(vault.open(Place::Env(other, "TOKEN"), &sealed).is_err());
        assert!(vault.open(Place::Env(one, "OTHER"), &sealed).is_err());
        assert!(vault.open(Place::GatewayKey(one), &sealed).is_err());
    }

    #[test]
    fn an_altered_value_does_not_open() {
        let vault = Vault::new(&[7; 32]);
        let id = ServerId::new();
        let mut sealed = vault.seal(Place::Env(id, "A"), "hunter2").unwrap();
        let flipped = if sealed.ciphertext.starts_with('0') {
            "1"
        } else {
            "0"
        };
        sealed.ciphertext.replace_range(0..1, flipped);
        assert!(vault.open(Place::Env(id, "A"), &sealed).is_err());
    }

    #[test]
    fn the_canary_tells_the_right_key_from_a_wrong_one() {
        let canary = Vault::new(&[1; 32]).canary().unwrap();
        assert!(Vault::new(&[1; 32]).knows(&canary));
        assert!(!Vault::new(&[2; 32]).knows(&canary));
    }
}
