//! The fake engine, as a broker asks it.

use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;

use super::container::{Given, Kept};
use super::faults::Op;
use super::{BEGIN, CALL, FakeEngine};
use crate::model::{ContainerId, ServerId};
use crate::runtime::brokered::{Brokered, Provenance};
use crate::runtime::{ContainerSpec, DiskSpec, Endpoint, Phase, Runtime, RuntimeError};

impl FakeEngine {
    /// A container that runs, and that nobody here has asked for: one of before
    /// there was a broker, which has this folder mounted, or another instance's.
    pub(crate) fn has(&self, server: ServerId, code_dir: &Path, is_foreign: bool) -> ContainerId {
        let mut state = self.state();
        state.made += 1;
        let id = ContainerId::of_engine(format!("{:064x}", state.made));
        let nowhere = Endpoint::at(std::net::Ipv4Addr::UNSPECIFIED);
        let kept = Kept {
            phase: Phase::Running,
            code_dir: code_dir.to_owned(),
            is_foreign,
            ..Kept::new(server, nowhere, Vec::new())
        };
        state.containers.insert(id.clone(), kept);
        id
    }

    /// Whether this container's process runs.
    pub(crate) fn runs_on(&self, id: &ContainerId) -> bool {
        self.state()
            .find(id)
            .is_ok_and(|one| one.phase == Phase::Running)
    }

    /// Returns once somebody listens to what changes.
    pub(crate) async fn until_heard(&self) {
        let listened = async {
            while self.state().listeners.is_empty() {
                tokio::time::sleep(CALL).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), listened)
            .await
            .unwrap();
    }
}

#[async_trait]
impl Brokered for FakeEngine {
    type Disk = ();

    async fn provenance(&self, id: &str) -> Result<Provenance, RuntimeError> {
        self.call(Op::Inspect, CALL, |state| {
            let one = state.find(&ContainerId::of_engine(id.to_owned()))?;
            if one.is_foreign {
                return Err(RuntimeError::NoSuchContainer);
            }
            let Given {
                disk_bytes, egress, ..
            } = one.given;
            Ok(Provenance {
                egress: Some(egress),
                folders: vec![one.code_dir.clone()],
                has_more: disk_bytes.is_some(),
            })
        })
        .await
    }

    async fn open_disk(&self, spec: &ContainerSpec) -> Result<Option<()>, RuntimeError> {
        self.call(Op::OpenDisk, BEGIN, |_| {
            let made = spec.disk.as_ref().map(make_disk).transpose();
            made.map_err(|error| RuntimeError::Storage(error.to_string()))
        })
        .await
    }

    async fn run_with(
        &self,
        spec: &ContainerSpec,
        disk: Option<()>,
    ) -> Result<ContainerId, RuntimeError> {
        assert_eq!(disk.is_some(), spec.disk.is_some(), "it has what it needs");
        self.run(spec).await
    }

    async fn let_go(&self, (): (), _: ServerId) {}
}

/// As the helper does: a new file gets its name when it is whole.
fn make_disk(disk: &DiskSpec) -> io::Result<()> {
    let dir = disk.source.dir();
    let (file, new) = (dir.join("disk"), dir.join("disk.new"));
    if !file.exists() {
        std::fs::File::options()
            .write(true)
            .open(&new)?
            .set_len(disk.size_bytes)?;
        std::fs::rename(new, file)?;
    }
    std::fs::write(dir.join("granted"), disk.size_bytes.to_string())
}
