//! Verifies a data directory: every record reads, every secret opens, every
//! bundle is what was uploaded, nothing points nowhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::rotate::next_key;
use crate::bundles::{Bundles, Unreadable, former};
use crate::identity::{Layout, read_master_key};
use crate::model::{AuditFilter, BundleDigest, Error, Release, Result, Server};
use crate::settings::Settings;
use crate::store::{Damage, Examined, OpenError, Store, StoredServer, StoredValue};
use crate::vault::{Place, Vault};

/// Something that is not as it should be, in words.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding(pub String);

/// Checks a data directory that no EMCP is using, and changes nothing in it.
/// An empty list means that all is well.
///
/// # Errors
/// If there is no platform, it is in use, or the key does not fit.
pub async fn check_directory(settings: &Settings) -> anyhow::Result<Vec<Finding>> {
    let layout = Layout::new(&settings.data_dir);
    let database = layout.database();
    if !database.exists() {
        return Err(OpenError::Missing(database.display().to_string()).into());
    }
    let (examined, vault) = examine(settings, &database)?;
    let mut findings: Vec<Finding> = examined.damages.iter().map(Finding::of_damage).collect();
    if let Some(store) = examined.store {
        findings.extend(check(&store, &vault, &layout).await?);
    }
    Ok(findings)
}

/// Under the key that the next start would use: a rotation that was cut short
/// behind its transaction has left the new one beside the old.
fn examine(settings: &Settings, database: &Path) -> anyhow::Result<(Examined, Vault)> {
    let vault = Vault::new(&read_master_key(settings)?);
    match (Store::examine(database, &vault), next_key(settings)) {
        (Err(OpenError::WrongMasterKey), Some(key)) => {
            let vault = Vault::new(&key);
            Ok((Store::examine(database, &vault)?, vault))
        }
        (examined, _) => Ok((examined?, vault)),
    }
}

impl Finding {
    fn of_damage(damage: &Damage) -> Self {
        let place = match (damage.table, &damage.key) {
            (Some(table), Some(key)) => format!("the database, table {table}, record {key}"),
            (Some(table), None) => format!("the database, table {table}"),
            (None, _) => "the database file".to_owned(),
        };
        Self(format!("{place}: {}", damage.detail))
    }
}

/// The secrets and keys that do not open.
pub(super) async fn unopenable(store: &Store, vault: &Vault) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for stored in &store.load_servers().await? {
        check_secrets(store, vault, stored, &mut findings).await?;
    }
    Ok(findings)
}

/// Checks everything; an empty list means that all is well.
///
/// # Errors
/// If the database itself cannot be read on.
pub async fn check(store: &Store, vault: &Vault, layout: &Layout) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let servers = store.load_servers().await?;
    let former = former::find(layout.root()).map_err(cannot_read)?;
    let pruned = store.pruned_files().await?;
    let mut code = Code::of(layout);
    for stored in &servers {
        let server = &stored.server;
        check_secrets(store, vault, stored, &mut findings).await?;
        let releases = store.releases_of(server.id).await?;
        if !releases.iter().any(|r| r.number == server.version) {
            let problem = format!("version {} is in use and has no record", server.version);
            findings.push(finding(server, &problem));
        }
        let own = former.iter().find(|own| own.server() == server.id);
        for number in own.map_or_else(Vec::new, |own| own.foreign(&releases, &pruned)) {
            let problem = format!("the code of version {number} has no record");
            findings.push(finding(server, &problem));
        }
        code.check(server, &releases, &mut findings);
    }
    findings.extend(code.foreign(store).await?);
    findings.extend(store.inconsistencies().await?.into_iter().map(Finding));
    store.load_tokens().await?;
    store.audit_page(AuditFilter::default(), usize::MAX).await?;
    check_folders(
        layout,
        store,
        servers.iter().map(|s| s.server.id.to_string()).collect(),
        &mut findings,
    )
    .await?;
    Ok(findings)
}

async fn check_secrets(
    store: &Store,
    vault: &Vault,
    stored: &StoredServer,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    let server = &stored.server;
    let gateway_key = vault.open(Place::GatewayKey(server.id), &stored.gateway_key);
    if gateway_key.is_err() {
        findings.push(finding(server, "its gateway key does not open"));
    }
    for var in store.env_of(server.id).await? {
        if let StoredValue::Sealed(sealed) = &var.value
            && vault
                .open(Place::Env(server.id, var.key.as_str()), sealed)
                .is_err()
        {
            findings.push(finding(
                server,
                &format!("its secret {} does not open", var.key),
            ));
        }
    }
    Ok(())
}

/// All code of a data directory.
struct Code {
    bundles: Bundles,
    root: PathBuf,
    /// What was looked at already: several releases may have it.
    sound: BTreeSet<BundleDigest>,
}

impl Code {
    fn of(layout: &Layout) -> Self {
        Self {
            bundles: Bundles::new(layout.root()),
            root: layout.root().to_owned(),
            sound: BTreeSet::new(),
        }
    }

    /// What of a server's code is not what was uploaded.
    fn check(&mut self, server: &Server, releases: &[Release], findings: &mut Vec<Finding>) {
        for release in releases {
            if self.sound.contains(&release.bundle) {
                continue;
            }
            let mut found = self.bundles.verify(release.bundle);
            if let Err(Unreadable::Missing) = found {
                // The next start takes it over from where it was before bundles.
                found = former::read(&self.root, server.id, release).map(drop);
            }
            match found {
                Ok(()) => {
                    self.sound.insert(release.bundle);
                }
                Err(unreadable) => {
                    let problem = format!("the code of version {} {unreadable}", release.number);
                    findings.push(finding(server, &problem));
                }
            }
        }
    }

    /// The bundles that no release has, but for those that the next start removes.
    async fn foreign(&self, store: &Store) -> Result<Vec<Finding>> {
        let mut foreign: BTreeSet<_> = self
            .bundles
            .on_disk()
            .map_err(cannot_read)?
            .into_iter()
            .collect();
        for known in store.bundles_in_use().await? {
            foreign.remove(&known);
        }
        for loose in store.loose_bundles().await? {
            foreign.remove(&loose.digest);
        }
        let told = foreign
            .into_iter()
            .map(|digest| Finding(format!("the bundle {digest} is of no version")));
        Ok(told.collect())
    }
}

fn cannot_read(error: std::io::Error) -> Error {
    Error::internal("the data directory cannot be read", error)
}

/// Folders that belong to no server. Those of servers being deleted go by
/// themselves.
async fn check_folders(
    layout: &Layout,
    store: &Store,
    mut known: BTreeSet<String>,
    findings: &mut Vec<Finding>,
) -> Result<()> {
    known.extend(
        store
            .deleted_servers()
            .await?
            .iter()
            .map(ToString::to_string),
    );
    let mut folders = tokio::fs::read_dir(layout.root())
        .await
        .map_err(cannot_read)?;
    while let Some(folder) = folders.next_entry().await.map_err(cannot_read)? {
        let name = folder.file_name().to_string_lossy().into_owned();
        let is_server = name.parse::<crate::model::ServerId>().is_ok();
        if is_server && !known.contains(&name) {
            findings.push(Finding(format!("the folder {name} belongs to no server")));
        }
    }
    Ok(())
}

fn finding(server: &Server, problem: &str) -> Finding {
    Finding(format!("{} ({}): {problem}", server.name, server.id))
}
