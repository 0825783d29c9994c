//! Whose a container is, and what it was made with: for who must not take
//! another's word for it.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use bollard::models::MountType;
use bollard::query_parameters::ListContainersOptions;

use super::{ANSWER_MAX, DockerRuntime, LABEL_INSTANCE, LABEL_RUN_OF, LABEL_SERVER, within};
use crate::model::{Egress, InstanceId};
use crate::runtime::RuntimeError;

/// What a container of a server was made with.
pub(in crate::runtime) struct Provenance {
    /// The network it was made in, if it is one of the servers'.
    pub(in crate::runtime) egress: Option<Egress>,
    /// What is mounted from the host's files.
    pub(in crate::runtime) folders: Vec<PathBuf>,
    /// Whether anything else is mounted, such as a disk.
    pub(in crate::runtime) has_more: bool,
}

impl DockerRuntime {
    /// Looks at a container of a server of this instance.
    ///
    /// # Errors
    /// `NoSuchContainer` also for anybody else's, or what the engine says.
    pub(in crate::runtime) async fn provenance(
        &self,
        id: &str,
    ) -> Result<Provenance, RuntimeError> {
        let found = self.look_into(id).await?;
        let labels = found.config.and_then(|config| config.labels);
        let labels = labels.unwrap_or_default();
        let is_own = labels.get(LABEL_INSTANCE) == Some(&self.instance)
            && labels.contains_key(LABEL_SERVER)
            // Containers of before have none.
            && labels
                .get(LABEL_RUN_OF)
                .is_none_or(|id| id.parse::<InstanceId>().is_ok())
            // A name or a part of an id finds containers too.
            && found.id.as_deref() == Some(id);
        if !is_own {
            return Err(RuntimeError::NoSuchContainer);
        }
        let host = found.host_config.unwrap_or_default();
        let mode = host.network_mode.unwrap_or_default();
        let mut networks = [Egress::Open, Egress::None].into_iter();
        let mounts = host.mounts.unwrap_or_default();
        let (folders, others): (Vec<_>, Vec<_>) = mounts
            .into_iter()
            .partition(|mount| mount.typ == Some(MountType::BIND));
        Ok(Provenance {
            egress: networks.find(|egress| self.network_for(*egress) == mode),
            folders: folders
                .into_iter()
                .filter_map(|mount| mount.source.map(PathBuf::from))
                .collect(),
            has_more: !others.is_empty() || host.binds.is_some_and(|binds| !binds.is_empty()),
        })
    }

    /// The host's files that containers of this instance have mounted, running
    /// or not.
    ///
    /// # Errors
    /// If the engine does not answer.
    pub(in crate::runtime) async fn mounted(&self) -> Result<HashSet<PathBuf>, RuntimeError> {
        let labels = vec![self.instance_filter()];
        let options = ListContainersOptions {
            all: true,
            filters: Some(HashMap::from([("label".to_owned(), labels)])),
            ..ListContainersOptions::default()
        };
        let listed = within(ANSWER_MAX, self.docker.list_containers(Some(options))).await?;
        let mounts = listed.into_iter().flat_map(|one| one.mounts);
        let sources = mounts.flatten().filter_map(|mount| mount.source);
        Ok(sources.map(PathBuf::from).collect())
    }
}
