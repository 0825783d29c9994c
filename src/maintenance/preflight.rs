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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;
    use std::time::SystemTime;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::settings::SettingsInput;

    fn settings(data_dir: &Path) -> Settings {
        with(SettingsInput::default(), data_dir)
    }

    fn with(input: SettingsInput, data_dir: &Path) -> Settings {
        let input = SettingsInput {
            data_dir: Some(data_dir.to_owned()),
            ..input
        };
        input.check().unwrap()
    }

    /// A platform that serves: it holds its database.
    fn serving(data_dir: &Path) -> (Settings, Store) {
        let settings = settings(data_dir);
        let identity = Identity::load_or_create(&settings).unwrap();
        let vault = Vault::new(&identity.master_key);
        let store = Store::open(&Layout::new(data_dir).database(), &vault).unwrap();
        (settings, store)
    }

    fn everything_in(dir: &Path) -> BTreeMap<PathBuf, (SystemTime, Vec<u8>)> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(everything_in(&path));
            } else {
                let modified = fs::metadata(&path).unwrap().modified().unwrap();
                found.insert(path.clone(), (modified, fs::read(&path).unwrap()));
            }
        }
        found
    }

    async fn refusal(settings: &Settings) -> String {
        let refused = preflight(settings).await.err().unwrap();
        format!("{refused:#}")
    }

    #[tokio::test]
    async fn it_answers_beside_an_emcp_that_serves_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, store) = serving(dir.path());
        let before = everything_in(dir.path());
        let found = preflight(&settings).await.unwrap();
        assert_eq!(everything_in(dir.path()), before);
        let rendered = fs::read(Layout::new(dir.path()).traefik_config()).unwrap();
        assert_eq!(
            found.traefik_config_sha256,
            Some(hex::encode(Sha256::digest(rendered)))
        );
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        store.check().await.unwrap();
    }

    #[tokio::test]
    async fn before_a_first_start_it_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let found = preflight(&settings(dir.path())).await.unwrap();
        assert!(found.traefik_config_sha256.is_none());
        let missing = dir.path().join("not-made-yet");
        preflight(&settings(&missing)).await.unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn what_a_start_would_refuse_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, store) = serving(dir.path());
        let layout = Layout::new(dir.path());

        let key = fs::read(layout.master_key()).unwrap();
        fs::write(layout.master_key(), hex::encode([7_u8; 32])).unwrap();
        assert!(refusal(&settings).await.contains("master key does not fit"));
        fs::write(layout.master_key(), "short").unwrap();
        assert!(refusal(&settings).await.contains("64 hexadecimal digits"));
        fs::remove_file(layout.master_key()).unwrap();
        assert!(refusal(&settings).await.contains("put"));
        assert!(!layout.master_key().exists());
        fs::write(layout.master_key(), key).unwrap();

        let template = with(
            SettingsInput {
                traefik_template: Some("/nowhere/template.yml".into()),
                ..SettingsInput::default()
            },
            dir.path(),
        );
        assert!(refusal(&template).await.contains("/nowhere/template.yml"));

        let ca = fs::read(layout.ca_cert()).unwrap();
        fs::remove_file(layout.ca_cert()).unwrap();
        assert!(refusal(&settings).await.contains("ca.crt"));
        fs::write(layout.ca_cert(), ca).unwrap();

        drop(store);
        fs::write(layout.database(), b"no database").unwrap();
        assert!(refusal(&settings).await.contains("cannot be read"));
    }
}
