//! What goes into a container, with secrets opened; and what must not come out
//! of it again.

use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::Parts;
use crate::blocking::run_blocking;
use crate::bundles::Lease;
use crate::model::{ContainerId, Error, Instance, Result, Server, ServerId};
use crate::runtime::{ContainerSpec, DiskSpec, Endpoint, RuntimeError, STORAGE_TARGET};
use crate::store::StoredValue;
use crate::vault::{Mask, Place};

/// What a container is called in Docker. Docker's resolver tells every container
/// of a network the names of all others, forwards and by address, so the name
/// says nothing: it cannot be guessed, and changes with each start. People find
/// the server's name in the label `emcp.name`.
fn container_name(installation: &str, gateway_key: &SecretString, instance: &Instance) -> String {
    let text = format!(
        "container name {} {} {}",
        gateway_key.expose_secret(),
        instance.id,
        instance.generation()
    );
    let digest = Sha256::digest(text.as_bytes());
    format!("{installation}-{}", hex::encode(&digest[..8]))
}

impl Parts {
    /// Where an instance is found.
    pub(super) fn endpoint(&self, instance: &Instance) -> Endpoint {
        let place = instance.place;
        Endpoint::of(place.address, place.egress, &self.config.networks)
    }

    /// Everything a container of this instance is made from, and what keeps its
    /// code in place until the container has it.
    ///
    /// # Errors
    /// If what is stored of the server cannot be read or opened.
    pub(super) async fn spec(
        &self,
        server: &Server,
        instance: &Instance,
    ) -> Result<(ContainerSpec, Lease)> {
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
            (
                "EMCP_ENTRY_OBJECT",
                server.settings.entry_object.as_str().to_owned(),
            ),
            ("EMCP_RUNTIME", server.settings.runtime.as_str().to_owned()),
            ("EMCP_ARGS", server.settings.args.to_json()),
            ("EMCP_GATEWAY_KEY", gateway_key),
        ];
        env.extend(contract.map(|(key, value)| (key.to_owned(), SecretString::from(value))));
        if server.settings.storage.is_some() {
            let place = SecretString::from(STORAGE_TARGET);
            env.push(("EMCP_DATA".to_owned(), place));
        }
        let mut secret_keys = vec!["EMCP_GATEWAY_KEY".to_owned()];
        // An operator may give servers a proxy with a password.
        let with_password =
            |(_, value): &&(String, SecretString)| value.expose_secret().contains('@');
        let passed = self.config.passed_env.iter().filter(with_password);
        secret_keys.extend(passed.map(|(key, _)| key.clone()));
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
        let code = self.code(instance).await?;
        let spec = ContainerSpec {
            server: server.id,
            instance: instance.id,
            name: container_name(&self.config.instance, &entry.gateway_key, instance),
            server_name: server.name.clone(),
            image: self.config.base_image.clone(),
            generation: instance.generation(),
            revision: instance.revision,
            endpoint: self.endpoint(instance),
            egress: instance.place.egress,
            disk: server.settings.storage.map(|storage| DiskSpec {
                source: self.layout.disk(server.id),
                size_bytes: storage.size_bytes,
            }),
            bundle: code.source(),
            env,
            secret_keys,
            limits: self.bounds.maxima().cap(server.settings.limits),
            stop_grace: self.config.stop_grace,
        };
        Ok((spec, code))
    }

    /// The code that an instance runs, which is what was uploaded.
    async fn code(&self, instance: &Instance) -> Result<Lease> {
        let number = instance.release;
        let release = self.store.release(instance.server, number).await?;
        let release = release.ok_or_else(|| Error::version_pruned(number))?;
        let bundles = Arc::clone(&self.bundles);
        let verifying = run_blocking(move || {
            let lease = bundles.lease(release.bundle);
            bundles.verify(release.bundle).map(|()| lease)
        });
        let verified = verifying
            .await
            .map_err(|error| Error::internal("looking at a bundle ended early", error))?;
        verified.map_err(|unreadable| {
            Error::Internal(format!("the code of version {number} {unreadable}"))
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
        container: &ContainerId,
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
