//! What goes into a container, with secrets opened; and what must not come out
//! of it again.

use secrecy::{ExposeSecret, SecretString};

use super::Parts;
use crate::model::{Error, Result, Server, ServerId};
use crate::runtime::{ContainerSpec, RuntimeError};
use crate::store::StoredValue;
use crate::vault::{Mask, Place};

impl Parts {
    /// Everything the server's container is made from.
    ///
    /// # Errors
    /// If what is stored of the server cannot be read or opened.
    pub(super) async fn spec(&self, server: &Server) -> Result<ContainerSpec> {
        // Without a key the container would answer anybody on the network.
        let entry = self
            .directory
            .get(server.id)
            .ok_or_else(|| Error::no_server(&server.id.to_string()))?;
        let gateway_key = entry.gateway_key.expose_secret().to_owned();
        let mut env = self.config.passed_env.clone();
        let contract = [
            ("EMCP_SERVER_NAME", server.name.to_string()),
            ("EMCP_PATH_PREFIX", server.path_prefix()),
            ("EMCP_ENTRY_OBJECT", server.entry_object.as_str().to_owned()),
            ("EMCP_RUNTIME", server.runtime.as_str().to_owned()),
            ("EMCP_GATEWAY_KEY", gateway_key),
        ];
        env.extend(contract.map(|(key, value)| (key.to_owned(), SecretString::from(value))));
        let mut secret_keys = vec!["EMCP_GATEWAY_KEY".to_owned()];
        for var in self.store.env_of(server.id).await? {
            let value = match &var.value {
                StoredValue::Plain(text) => SecretString::from(text.clone()),
                StoredValue::Sealed(sealed) => {
                    secret_keys.push(var.key.to_string());
                    self.vault
                        .open(Place::Env(server.id, var.key.as_str()), sealed)?
                }
            };
            env.push((var.key.to_string(), value));
        }
        let id = server.id.to_string();
        // The last characters of a UUIDv7 are random, the first are the time.
        let suffix = id.get(id.len() - 8..).unwrap_or(&id);
        Ok(ContainerSpec {
            server: server.id,
            name: format!(
                "{}-{}-{suffix}-{}",
                self.config.instance, server.name, server.generation
            ),
            image: self.config.base_image.clone(),
            generation: server.generation,
            revision: server.revision,
            address: server.address_in(&self.config.networks),
            egress: server.egress,
            code_dir: self.layout.code_dir(server.id, server.version),
            env,
            secret_keys,
            limits: self.bounds.maxima().cap(server.limits),
            stop_grace: self.config.stop_grace,
        })
    }

    /// Hides in a container's output the secrets that it was made with. Those
    /// stored now may be others: a changed variable reaches the server with its
    /// next start only. They are hidden too, since a container made before
    /// EMCP labelled them does not tell its own.
    ///
    /// # Errors
    /// If the engine does not tell, rather than showing what must be hidden.
    pub(super) async fn mask(
        &self,
        id: ServerId,
        container: &str,
    ) -> std::result::Result<Mask, RuntimeError> {
        let mut secrets = self.runtime.given_secrets(container).await?;
        match self.store.env_of(id).await {
            Ok(vars) => secrets.extend(vars.iter().filter_map(|var| match &var.value {
                StoredValue::Plain(_) => None,
                StoredValue::Sealed(sealed) => {
                    let place = Place::Env(id, var.key.as_str());
                    self.vault.open(place, sealed).ok()
                }
            })),
            Err(error) => tracing::error!(server = %id, %error, "cannot read the stored secrets"),
        }
        Ok(Mask::new(secrets.iter()))
    }
}
