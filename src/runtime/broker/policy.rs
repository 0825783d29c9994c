//! What may be wished for. Pure.

use std::collections::BTreeSet;

use super::protocol::{RunWish, ShotKind};
use crate::model::{Egress, Maxima, ServerNetworks};
use crate::runtime::Endpoint;

/// As the settings bound it.
pub(super) const GRACE_MAX_SECS: u64 = 600;
/// As long as the longest of EMCP's own, with some to spare.
pub(super) const PATIENCE_MAX_SECS: u64 = 60;
/// Of a container's output at once.
pub(super) const TAIL_MAX_LINES: usize = 10_000;

/// A person's, EMCP's own, and those that are passed on.
const ENV_MAX: usize = 256;
/// More than the kernel takes for a process anyway.
const ENV_MAX_BYTES: usize = 8 * 1024 * 1024;
const ENV_KEY_MAX_BYTES: usize = 128;
/// Bytes at random in a container's name.
const NAME_DIGITS: usize = 16;
/// An id as the engine gives it: in full, so that it is nobody else's beginning.
const ID_DIGITS: usize = 64;

/// Why something is refused; told to EMCP as it stands.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the broker does not allow it: {0}")]
pub(super) struct Forbidden(pub(super) &'static str);

/// What a wish is held against.
pub(super) struct Policy {
    pub(super) instance: String,
    pub(super) networks: ServerNetworks,
}

impl Policy {
    /// Checks a container that is to be made, and brings its limits within the
    /// maxima. `disk_bytes` is what its disk has now.
    ///
    /// # Errors
    /// What of it is not allowed.
    pub(super) fn check_run(
        &self,
        wish: &mut RunWish,
        maxima: &Maxima,
        disk_bytes: u64,
    ) -> Result<(), Forbidden> {
        self.check_name(&wish.name)?;
        self.check_endpoint(wish.egress, &wish.endpoint)?;
        check_env(&wish.env, &wish.secret_keys)?;
        check_grace(wish.stop_grace_secs)?;
        // One that was made before the setting was lowered keeps its size.
        let most = maxima.storage_bytes.max(disk_bytes);
        if wish.disk_bytes.is_some_and(|bytes| bytes > most) {
            return Err(Forbidden("a disk larger than EMCP_MAX_STORAGE"));
        }
        wish.limits = maxima.cap(wish.limits);
        let limits = wish.limits.checked();
        limits
            .map(drop)
            .map_err(|_| Forbidden("limits that no container can have"))
    }

    /// Checks what is to be run to its end.
    ///
    /// # Errors
    /// What of it is not allowed.
    pub(super) fn check_shot(&self, shot: &ShotKind) -> Result<(), Forbidden> {
        match shot {
            // Of a bundle, which its digest proves.
            ShotKind::Check { .. } => Ok(()),
            ShotKind::Reach { endpoint } => self.check_endpoint(Egress::Open, endpoint),
        }
    }

    /// Checks that it is one of the servers' in the network of this egress.
    ///
    /// # Errors
    /// If it is not.
    pub(super) fn check_endpoint(
        &self,
        egress: Egress,
        endpoint: &Endpoint,
    ) -> Result<(), Forbidden> {
        let pool = match egress {
            Egress::Open => self.networks.open(),
            Egress::None => self.networks.internal(),
        };
        if pool.contains(endpoint.ip()) {
            Ok(())
        } else {
            Err(Forbidden("an address that is no server's"))
        }
    }

    /// As EMCP makes them, and as no container of the platform is called.
    fn check_name(&self, name: &str) -> Result<(), Forbidden> {
        let digits = name
            .strip_prefix(self.instance.as_str())
            .and_then(|rest| rest.strip_prefix('-'));
        if digits.is_some_and(|digits| is_hex(digits, NAME_DIGITS)) {
            Ok(())
        } else {
            Err(Forbidden("a container of that name"))
        }
    }
}

/// Checks that it can be nothing but one container's id.
///
/// # Errors
/// If it is a name, a part of an id, or a path.
pub(super) fn check_id(id: &str) -> Result<(), Forbidden> {
    if is_hex(id, ID_DIGITS) {
        Ok(())
    } else {
        Err(Forbidden("what is no container's id"))
    }
}

/// Checks how long an end may take.
///
/// # Errors
/// If it is longer than settings can say.
pub(super) fn check_grace(secs: u64) -> Result<(), Forbidden> {
    if secs <= GRACE_MAX_SECS {
        Ok(())
    } else {
        Err(Forbidden("so long a time to end"))
    }
}

fn check_env(env: &[(String, String)], secret_keys: &[String]) -> Result<(), Forbidden> {
    let bytes = |(key, value): &(String, String)| key.len() + value.len();
    if env.len() > ENV_MAX || env.iter().map(bytes).sum::<usize>() > ENV_MAX_BYTES {
        return Err(Forbidden("so many variables"));
    }
    if env
        .iter()
        .any(|(key, value)| !is_key(key) || value.contains('\0'))
    {
        return Err(Forbidden("a variable of that form"));
    }
    let keys: BTreeSet<&str> = env.iter().map(|(key, _)| key.as_str()).collect();
    if secret_keys.len() > ENV_MAX || secret_keys.iter().any(|key| !keys.contains(key.as_str())) {
        return Err(Forbidden("a secret that is no variable"));
    }
    Ok(())
}

fn is_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !key.is_empty()
        && key.len() <= ENV_KEY_MAX_BYTES
        && key.chars().all(allowed)
        && !key.starts_with(|c: char| c.is_ascii_digit())
}

fn is_hex(text: &str, digits: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == digits && text.bytes().all(is_digit)
}
