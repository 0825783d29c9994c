//! A server's environment: replaced as a whole, secrets sealed on the way in
//! and never read back.

use std::sync::Arc;

use super::changes::{Changes, event};
use super::parts::Parts;
use crate::access::{CanInspect, CanWrite};
use crate::directory::Directory;
use crate::model::{
    Deed, EnvVarInput, EnvVarView, Error, Result, SECRET_MASK, Seen, ServerId, Tag,
};
use crate::store::{ServerChange, Store, StoredEnvVar, StoredValue};
use crate::vault::{Place, Vault};

/// Servers' environments.
pub struct Env {
    directory: Arc<Directory>,
    store: Store,
    vault: Arc<Vault>,
    changes: Changes,
}

impl Env {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            store: parts.store.clone(),
            vault: Arc::clone(&parts.vault),
            changes: Changes::of(parts),
        }
    }

    /// A server's variables, secrets masked, and their tag.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn get(&self, permit: &CanInspect) -> Result<(Vec<EnvVarView>, Tag)> {
        let id = permit.server();
        // The tag first: one that is older than the variables costs another
        // look, a newer one would cost somebody their change.
        let tag = self.directory.require(&id.to_string())?.server.etags().env;
        let vars = self.store.env_of(id).await?;
        Ok((vars.into_iter().map(view).collect(), tag))
    }

    /// Replaces a server's whole set of variables, and restarts a running
    /// server if asked to.
    ///
    /// # Errors
    /// `server_not_found`, `secret_without_value`, `precondition_failed`, or if
    /// the database fails; the old set then stays.
    pub async fn replace(
        &self,
        permit: &CanWrite,
        seen: Seen,
        vars: Vec<EnvVarInput>,
        restart: bool,
    ) -> Result<(Vec<EnvVarView>, Tag)> {
        let id = permit.server();
        // Before a secret that somebody has removed meanwhile is missed.
        seen.require(&self.directory.require(&id.to_string())?.server.etags().env)?;
        let stored = self.store.env_of(id).await?;
        let sealed = seal_all(&self.vault, id, vars, &stored)?;
        let views = sealed.iter().cloned().map(view).collect();
        let set = Deed::EnvironmentSet {
            variables: sealed.len(),
        };
        let event = event(set, permit);
        let changed = self.changes.make(permit, move |server| {
            seen.require(&server.etags().env)?;
            server.env_revision += 1;
            server.revision += 1;
            if restart {
                server.wish_again_if_running();
            }
            Ok(ServerChange {
                env: Some(sealed),
                ..ServerChange::of_record(event)
            })
        });
        Ok((views, changed.await?.etags.env))
    }
}

/// Seals what is secret; a secret without a value keeps its stored one.
pub(super) fn seal_all(
    vault: &Vault,
    id: ServerId,
    vars: Vec<EnvVarInput>,
    stored: &[StoredEnvVar],
) -> Result<Vec<StoredEnvVar>> {
    vars.into_iter()
        .map(|var| {
            let value = match (var.value, var.is_secret) {
                (Some(text), true) => {
                    StoredValue::Sealed(vault.seal(Place::Env(id, var.key.as_str()), &text)?)
                }
                (Some(text), false) => StoredValue::Plain(text),
                (None, _) => kept_secret(&var.key, stored)?,
            };
            Ok(StoredEnvVar {
                key: var.key,
                value,
            })
        })
        .collect()
}

fn kept_secret(key: &crate::model::EnvKey, stored: &[StoredEnvVar]) -> Result<StoredValue> {
    stored
        .iter()
        .find(|var| var.key == *key)
        .map(|var| var.value.clone())
        .filter(|value| matches!(value, StoredValue::Sealed(_)))
        .ok_or_else(|| {
            Error::invalid(
                "secret_without_value",
                "env",
                format!("the secret \"{key}\" has no value and none is stored; send one"),
            )
        })
}

fn view(var: StoredEnvVar) -> EnvVarView {
    let (value, is_secret) = match var.value {
        StoredValue::Plain(text) => (text, false),
        StoredValue::Sealed(_) => (SECRET_MASK.to_owned(), true),
    };
    EnvVarView {
        key: var.key,
        value,
        is_secret,
    }
}
