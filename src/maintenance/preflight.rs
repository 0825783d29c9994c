//! Would EMCP start with these settings on this data directory? Asked before a
//! running EMCP is replaced, so it makes, changes and locks nothing.

use std::fs::{self, OpenOptions};
use std::path::PathBuf;

use anyhow::{Context, bail};

use super::rotate::possible_vaults;
use crate::identity::{Identity, Layout};
use crate::settings::{Settings, TlsSource};
use crate::store::{Glance, Store};
use crate::vault::Vault;

/// What was found, for whoever is to start EMCP.
pub struct Preflight {
    /// What is worth telling though it forbids nothing.
    pub notes: Vec<String>,
    /// SHA-256 of Traefik's static configuration, in hexadecimal; none before a
    /// first start. Another one than the running Traefik has means that this
    /// must be replaced.
    pub traefik_config_sha256: Option<String>,
    /// The operator's own certificate chain, if Traefik is to serve that.
    pub certificate: Option<PathBuf>,
}

/// Looks at settings, keys, certificates, template and database.
///
/// # Errors
/// Whatever would keep EMCP from starting, as far as it can be seen from files.
pub async fn preflight(settings: &Settings) -> anyhow::Result<Preflight> {
    let layout = Layout::new(&settings.data_dir);
    let root = layout.root();
    match fs::metadata(root) {
        Ok(found) if !found.is_dir() => bail!("{} is not a directory", root.display()),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look into {}", root.display()));
        }
    }
    let examined = Identity::examine(settings)?;
    let mut notes = Vec::new();
    let database = layout.database();
    if database.exists() {
        let Some(key) = examined.master_key else {
            bail!(
                "{} is there, but not the master key that its secrets are sealed under: put {} back",
                database.display(),
                layout.master_key().display()
            );
        };
        // Opened and left alone: a start needs to write to it.
        OpenOptions::new()
            .read(true)
            .write(true)
            .open(&database)
            .with_context(|| format!("cannot open {}", database.display()))?;
        let vaults = possible_vaults(settings, Vault::new(&key));
        if let Glance::Unread(why) = Store::glance(&database, &vaults).await? {
            notes.push(format!("{}: {why}", database.display()));
        }
    } else {
        notes.push(format!(
            "{} is not there: EMCP begins with an empty platform",
            database.display()
        ));
    }
    Ok(Preflight {
        notes,
        traefik_config_sha256: examined.traefik_config_sha256,
        certificate: match &settings.tls {
            TlsSource::Files { cert, .. } => Some(cert.clone()),
            TlsSource::LocalCa | TlsSource::Resolver(_) => None,
        },
    })
}
