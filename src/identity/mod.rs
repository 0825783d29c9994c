//! What the first start makes in the data directory: keys, tokens, the local
//! CA, and Traefik's static configuration. Later starts find it there.

mod certificate;
mod examine;
mod files;
mod own_certificate;
mod source;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

pub use certificate::ServedCertificate;
pub use examine::Examined;
pub use files::{create_dir_private, write_atomically};
pub use own_certificate::{from_files, keep};
pub use source::{BundleSource, DiskSource};

use crate::model::{KnownNotice, ServerId};
use crate::settings::{SecretSource, Settings, TlsSource};
use crate::vault::random_bytes;

const BUILT_IN_TEMPLATE: &str = include_str!("../../traefik/traefik.yml");

/// Traefik's own metrics, which a route of EMCP's document leads to, behind the
/// metrics token (`traefik::document`): no entry point shows them by itself.
/// A server answers with what codes it likes, and each is a series: so servers
/// are not counted one by one, and there are few buckets.
const TRAEFIK_METRICS: &str = "{prometheus: {manualRouting: true, addEntryPointsLabels: true, addRoutersLabels: false, addServicesLabels: false, buckets: [0.1, 1.0, 10.0]}}";
/// Traefik takes no empty section.
const NO_TRAEFIK_METRICS: &str = "{addInternals: false}";

/// The names of files in the data directory.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Layout {
    /// The layout below a data directory.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.root.join("emcp.redb")
    }

    /// The local CA's certificate, for download.
    pub fn ca_cert(&self) -> PathBuf {
        self.root.join("ca.crt")
    }

    /// The master key, where it is kept here.
    pub fn master_key(&self) -> PathBuf {
        self.file("master.key")
    }

    /// What monitoring shows, where it is kept here.
    pub fn metrics_token(&self) -> PathBuf {
        self.file("metrics-token")
    }

    /// The data directory itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Everything on disk of one server.
    pub fn server_dir(&self, id: ServerId) -> PathBuf {
        self.root.join(id.to_string())
    }

    /// The disk of a server that has storage, in a directory of its own.
    pub fn storage_dir(&self, id: ServerId) -> PathBuf {
        self.server_dir(id).join("storage")
    }

    /// The image of that disk.
    pub fn disk_image(&self, id: ServerId) -> PathBuf {
        self.storage_dir(id).join("disk")
    }

    /// That disk, as the runtime is given it.
    pub fn disk(&self, id: ServerId) -> DiskSource {
        DiskSource::of_dir(self.storage_dir(id))
    }

    /// Where a backup is put together before it is moved into place.
    pub fn restore_dir(&self) -> PathBuf {
        self.root.join(".restore")
    }

    /// The last certificate and key of the operator's own that were good.
    pub fn served_certificate(&self) -> PathBuf {
        self.root.join("tls-served.json")
    }

    /// Traefik's rendered static configuration.
    pub fn traefik_config(&self) -> PathBuf {
        self.root.join("traefik").join("traefik.yml")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

/// Everything that proves who this EMCP is. Holds secrets: no `Debug`.
pub struct Identity {
    /// The administrator's token.
    pub admin_token: SecretString,
    /// What Traefik shows to fetch its configuration.
    pub provider_token: SecretString,
    /// What monitoring shows to read metrics from outside; none where that is
    /// not wanted.
    pub metrics_token: Option<SecretString>,
    /// The key that seals secrets.
    pub master_key: [u8; 32],
    /// The CA certificate for download; none where the operator's own
    /// certificate or ACME is used.
    pub ca_cert_pem: Option<String>,
    /// What Traefik serves; none where a certificate resolver does it.
    pub certificate: Option<ServedCertificate>,
    /// What is wrong with the operator's own certificate, so that another one
    /// is served, or this one to whoever takes it.
    pub certificate_problem: Option<KnownNotice>,
}

impl Identity {
    /// Loads the identity, making what is missing, and writes Traefik's static
    /// configuration.
    ///
    /// # Errors
    /// If the data directory cannot be written or a file in it is malformed.
    pub fn load_or_create(settings: &Settings) -> anyhow::Result<Self> {
        let layout = Layout::new(&settings.data_dir);
        refuse_half_restored(&layout)?;
        create_dir_private(&settings.data_dir)?;
        let admin_token = secret(&settings.admin_token, &layout.file("admin-token"), || {
            Ok(format!("emcp_{}", hex::encode(random_bytes::<32>()?)))
        })?;
        check_length(&admin_token, "admin")?;
        let master_key = secret(&settings.master_key, &layout.master_key(), || {
            Ok(hex::encode(random_bytes::<32>()?))
        })?;
        let key = parse_master_key(master_key.expose_secret())?;
        let provider_token = secret(
            &SecretSource::DataDir,
            &layout.file("provider-token"),
            || Ok(hex::encode(random_bytes::<32>()?)),
        )?;
        let metrics_token = settings
            .metrics_public
            .then(|| {
                secret(&settings.metrics_token, &layout.metrics_token(), || {
                    Ok(hex::encode(random_bytes::<32>()?))
                })
            })
            .transpose()?;
        if let Some(token) = &metrics_token {
            check_length(token, "metrics")?;
        }
        let kept = layout.served_certificate();
        let mut certificate_problem = None;
        let (ca_cert_pem, certificate) = match &settings.tls {
            TlsSource::LocalCa => {
                let (ca, leaf) = certificate::from_local_ca(
                    &layout.file("ca.key"),
                    &layout.ca_cert(),
                    &settings.hosts().collect::<Vec<_>>(),
                )?;
                (Some(ca), Some(leaf))
            }
            TlsSource::Files { cert, key } => {
                let (hosts, now) = (settings.public_hosts(), Timestamp::now());
                let chosen = own_certificate::choose(cert, key, &kept, &hosts, now)?;
                chosen.keep_if_good(&kept);
                certificate_problem = chosen.problem;
                (None, Some(chosen.certificate))
            }
            TlsSource::Resolver(_) => (None, None),
        };
        if !matches!(settings.tls, TlsSource::Files { .. }) {
            own_certificate::forget(&kept)?;
        }
        let identity = Self {
            admin_token,
            provider_token,
            metrics_token,
            master_key: key,
            ca_cert_pem,
            certificate,
            certificate_problem,
        };
        identity.write_traefik_config(settings, &layout)?;
        Ok(identity)
    }

    fn write_traefik_config(&self, settings: &Settings, layout: &Layout) -> anyhow::Result<()> {
        let rendered = render_traefik_config(settings, &self.provider_token)?;
        let path = layout.traefik_config();
        if let Some(dir) = path.parent() {
            create_dir_private(dir)?;
        }
        // Unchanged content is not rewritten: a bind mount of this one file
        // follows the inode, which a rename would replace.
        if std::fs::read_to_string(&path).is_ok_and(|present| present == rendered) {
            return Ok(());
        }
        write_atomically(&path, rendered.as_bytes(), 0o600)
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Traefik's static configuration. Holds the provider's token.
fn render_traefik_config(
    settings: &Settings,
    provider_token: &SecretString,
) -> anyhow::Result<String> {
    let template = match &settings.traefik_template {
        Some(path) => std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the Traefik template {}", path.display()))?,
        None => BUILT_IN_TEMPLATE.to_owned(),
    };
    let https_port = settings.https_port.to_string();
    let replacements = [
        ("${EMCP_INTERNAL_URL}", settings.internal_url.as_str()),
        ("${EMCP_PROVIDER_TOKEN}", provider_token.expose_secret()),
        ("${EMCP_HTTPS_ADDRESS}", settings.https_address.as_str()),
        ("${EMCP_HTTP_ADDRESS}", settings.http_address.as_str()),
        ("${EMCP_HTTPS_PORT}", https_port.as_str()),
        (
            "${EMCP_TRAEFIK_METRICS}",
            if settings.metrics_public {
                TRAEFIK_METRICS
            } else {
                NO_TRAEFIK_METRICS
            },
        ),
    ];
    Ok(replacements
        .iter()
        .fold(template, |text, (from, to)| text.replace(from, to)))
}

fn check_length(token: &SecretString, whose: &str) -> anyhow::Result<()> {
    if token.expose_secret().len() < 16 {
        bail!("the {whose} token is shorter than 16 characters; use a longer one");
    }
    Ok(())
}

/// Neither an empty platform nor keys of its own may come in between a restore
/// that was cut short and its repetition.
fn refuse_half_restored(layout: &Layout) -> anyhow::Result<()> {
    if layout.restore_dir().exists() && !layout.database().exists() {
        bail!(
            "a restore into {} was cut short; run it again, or remove {} to begin with an empty platform",
            layout.root().display(),
            layout.restore_dir().display()
        );
    }
    Ok(())
}

/// The master key that is there; none is made.
///
/// # Errors
/// If there is none, or it is malformed.
pub fn read_master_key(settings: &Settings) -> anyhow::Result<[u8; 32]> {
    let file = Layout::new(&settings.data_dir).master_key();
    let key = present_secret(&settings.master_key, &file)?;
    parse_master_key(key.expose_secret())
}

/// The administrator's token that is there; none is made.
///
/// # Errors
/// If there is none.
pub fn read_admin_token(settings: &Settings) -> anyhow::Result<SecretString> {
    let file = Layout::new(&settings.data_dir).file("admin-token");
    present_secret(&settings.admin_token, &file)
}

/// Reads the text of a master key.
///
/// # Errors
/// If it is malformed.
pub fn parse_master_key(text: &str) -> anyhow::Result<[u8; 32]> {
    let mut key = [0_u8; 32];
    hex::decode_to_slice(text.trim(), &mut key)
        .map_err(|_| anyhow::anyhow!("the master key must be 64 hexadecimal digits"))?;
    Ok(key)
}

fn present_secret(source: &SecretSource, data_file: &Path) -> anyhow::Result<SecretString> {
    if matches!(source, SecretSource::DataDir) && !data_file.exists() {
        bail!(
            "{} does not exist; name the platform's data directory in EMCP_DATA_DIR, or put the file back",
            data_file.display()
        );
    }
    secret(source, data_file, || {
        bail!("{} does not exist", data_file.display())
    })
}

/// Reads a secret from its source; in the data directory, makes it if missing.
fn secret(
    source: &SecretSource,
    data_file: &Path,
    make: impl FnOnce() -> anyhow::Result<String>,
) -> anyhow::Result<SecretString> {
    let path = match source {
        SecretSource::Given(value) => return Ok(value.clone()),
        SecretSource::File(path) => path.as_path(),
        SecretSource::DataDir => {
            if !data_file.exists() {
                write_atomically(data_file, make()?.as_bytes(), 0o600)
                    .with_context(|| format!("cannot write {}", data_file.display()))?;
            }
            data_file
        }
    };
    read_secret(path)
}

fn read_secret(path: &Path) -> anyhow::Result<SecretString> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let text = text.trim();
    if text.is_empty() {
        bail!(
            "{} is empty; put the secret in or remove the file",
            path.display()
        );
    }
    Ok(SecretString::from(text.to_owned()))
}
