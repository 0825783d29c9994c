//! What the broker asks: whose a container is, and what it was made with.

use std::path::PathBuf;

use async_trait::async_trait;
use bollard::models::MountType;

use super::{DockerRuntime, LABEL_INSTANCE, LABEL_RUN_OF, LABEL_SERVER, OpenDisk, disk};
use crate::model::{ContainerId, Egress, InstanceId, ServerId};
use crate::runtime::brokered::{Brokered, Provenance};
use crate::runtime::{ContainerSpec, Runtime, RuntimeError};

#[async_trait]
impl Brokered for DockerRuntime {
    type Disk = OpenDisk;

    async fn provenance(&self, id: &str) -> Result<Provenance, RuntimeError> {
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

    async fn open_disk(&self, spec: &ContainerSpec) -> Result<Option<OpenDisk>, RuntimeError> {
        let Some(disk) = &spec.disk else {
            return Ok(None);
        };
        let opened = disk::open(&self.docker, &self.instance, &spec.image, disk).await?;
        Ok(Some(opened))
    }

    async fn run_with(
        &self,
        spec: &ContainerSpec,
        disk: Option<OpenDisk>,
    ) -> Result<ContainerId, RuntimeError> {
        let started = async {
            let id = self.create(spec, disk.as_ref()).await?;
            self.start(&id).await?;
            Ok(id)
        };
        let started = started.await;
        // The container has it mounted; where there is none, nobody has.
        if let Some(disk) = disk {
            self.let_go(disk, spec.server).await;
        }
        started
    }

    async fn let_go(&self, disk: OpenDisk, server: ServerId) {
        if let Err(error) = disk::let_go(&self.docker, disk).await {
            // It lets go by itself.
            tracing::warn!(%server, %error, "the helper that opened a disk is still there");
        }
    }
}
