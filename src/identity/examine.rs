//! What a start would find in the data directory. Makes and changes nothing, so
//! that it may be asked beside an EMCP that serves.

use std::path::Path;

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use super::{
    Identity, Layout, certificate, check_length, own_certificate, parse_master_key, read_secret,
    refuse_half_restored, render_traefik_config,
};
use crate::model::KnownNotice;
use crate::settings::{SecretSource, Settings, TlsSource};

/// What is there already of an identity. Holds secrets: no `Debug`.
pub struct Examined {
    /// The key that seals secrets; none before a first start.
    pub master_key: Option<[u8; 32]>,
    /// What is wrong with the operator's own certificate; EMCP would start all
    /// the same.
    pub certificate_problem: Option<KnownNotice>,
    /// SHA-256 of the static configuration that Traefik would be given, in
    /// hexadecimal; none before a first start, which makes a part of it.
    pub traefik_config_sha256: Option<String>,
}

impl Identity {
    /// Looks at what [`Identity::load_or_create`] would load.
    ///
    /// # Errors
    /// Where that one would refuse what is there.
    pub fn examine(settings: &Settings) -> anyhow::Result<Examined> {
        let layout = Layout::new(&settings.data_dir);
        refuse_half_restored(&layout)?;
        if let Some(token) = present(&settings.admin_token, &layout.file("admin-token"))? {
            check_length(&token, "admin")?;
        }
        let master_key = present(&settings.master_key, &layout.master_key())?
            .map(|text| parse_master_key(text.expose_secret()))
            .transpose()?;
        let mut certificate_problem = None;
        match &settings.tls {
            TlsSource::LocalCa => {
                let (key, cert) = (layout.file("ca.key"), layout.ca_cert());
                // Where there is neither, it would make both.
                if key.exists() || cert.exists() {
                    certificate::from_local_ca(&key, &cert, &settings.hosts().collect::<Vec<_>>())?;
                }
            }
            TlsSource::Files { cert, key } => {
                let (hosts, now) = (settings.public_hosts(), Timestamp::now());
                let kept = layout.served_certificate();
                certificate_problem =
                    own_certificate::choose(cert, key, &kept, &hosts, now)?.problem;
            }
            TlsSource::Resolver(_) => {}
        }
        let token = present(&SecretSource::DataDir, &layout.file("provider-token"))?;
        if settings.metrics_public
            && let Some(token) = present(&settings.metrics_token, &layout.metrics_token())?
        {
            check_length(&token, "metrics")?;
        }
        // The template is read in any case: it may not be there.
        let rendered = render_traefik_config(settings, &token.clone().unwrap_or_default())?;
        Ok(Examined {
            master_key,
            certificate_problem,
            traefik_config_sha256: token.map(|_| hex::encode(Sha256::digest(rendered))),
        })
    }
}

fn present(source: &SecretSource, data_file: &Path) -> anyhow::Result<Option<SecretString>> {
    match source {
        SecretSource::Given(value) => Ok(Some(value.clone())),
        SecretSource::File(path) => read_secret(path).map(Some),
        SecretSource::DataDir if data_file.exists() => read_secret(data_file).map(Some),
        SecretSource::DataDir => Ok(None),
    }
}
