//! What the broker needs of an engine besides what everybody does: to look
//! before it does as it is told.

use std::path::PathBuf;

use async_trait::async_trait;

use super::{ContainerSpec, Runtime, RuntimeError};
use crate::model::{ContainerId, Egress, ServerId};

/// What a container of a server was made with.
pub(super) struct Provenance {
    /// The network it was made in, if it is one of the servers'.
    pub(super) egress: Option<Egress>,
    /// What is mounted from the host's files.
    pub(super) folders: Vec<PathBuf>,
    /// Whether anything else is mounted, such as a disk.
    pub(super) has_more: bool,
}

/// An engine that can be looked into.
#[async_trait]
pub(super) trait Brokered: Runtime + Sized {
    /// A disk that was opened for a container to come.
    type Disk: Send;

    /// Whose a container is, and what it was made with.
    ///
    /// # Errors
    /// `NoSuchContainer` also for anybody's but a server's of this instance, or
    /// what the engine says.
    async fn provenance(&self, id: &str) -> Result<Provenance, RuntimeError>;

    /// Has a device made of the disk that the container is to have, if any.
    ///
    /// # Errors
    /// `Storage` with what is wrong, or what the engine says.
    async fn open_disk(&self, spec: &ContainerSpec) -> Result<Option<Self::Disk>, RuntimeError>;

    /// [`Runtime::run`] with the disk that was opened for it.
    ///
    /// # Errors
    /// As [`Runtime::run`].
    async fn run_with(
        &self,
        spec: &ContainerSpec,
        disk: Option<Self::Disk>,
    ) -> Result<ContainerId, RuntimeError>;

    /// Leaves a disk to the container that has it mounted, if one has.
    async fn let_go(&self, disk: Self::Disk, server: ServerId);
}
