//! What the broker and EMCP are both set up with.

use std::path::PathBuf;

use super::protocol::Agreed;
use crate::model::ServerNetworks;
use crate::settings::{BoundSettings, Settings};

/// The part of the settings that is about containers.
#[derive(Clone)]
pub(super) struct Setup {
    pub(super) docker_host: String,
    pub(super) data_dir: PathBuf,
    pub(super) instance: String,
    pub(super) network: String,
    pub(super) networks: ServerNetworks,
    pub(super) base_image: String,
    pub(super) bounds: BoundSettings,
    pub(super) max_code_bytes: u64,
}

impl Setup {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            docker_host: settings.docker_host.clone(),
            data_dir: settings.data_dir.clone(),
            instance: settings.instance.clone(),
            network: settings.network.clone(),
            networks: settings.networks,
            base_image: settings.base_image.clone(),
            bounds: settings.bounds,
            max_code_bytes: settings.max_code_bytes,
        }
    }

    pub(super) fn agreed(&self) -> Agreed {
        Agreed {
            instance: self.instance.clone(),
            data_dir: self.data_dir.display().to_string(),
            network: self.network.clone(),
            subnet: self.networks.open().subnet(),
            internal_subnet: self.networks.internal().subnet(),
            base_image: self.base_image.clone(),
            max_memory: self.bounds.max_memory_bytes,
            max_cpus: self.bounds.max_cpus,
            max_pids: self.bounds.max_pids,
            max_storage: self.bounds.max_storage_bytes,
        }
    }
}

impl Agreed {
    /// The settings in which two differ, with both values.
    pub(super) fn differences(&self, emcp: &Self) -> Vec<String> {
        let shown = |number: Option<String>| number.unwrap_or_else(|| "not set".to_owned());
        let bytes = |number: Option<u64>| shown(number.map(|number| number.to_string()));
        let values = |agreed: &Self| {
            [
                ("EMCP_INSTANCE", agreed.instance.clone()),
                ("EMCP_DATA_DIR", agreed.data_dir.clone()),
                ("EMCP_NETWORK", agreed.network.clone()),
                ("EMCP_SUBNET", agreed.subnet.clone()),
                ("EMCP_INTERNAL_SUBNET", agreed.internal_subnet.clone()),
                ("EMCP_BASE_IMAGE", agreed.base_image.clone()),
                ("EMCP_MAX_MEMORY", bytes(agreed.max_memory)),
                (
                    "EMCP_MAX_CPUS",
                    shown(agreed.max_cpus.map(|cpus| cpus.to_string())),
                ),
                (
                    "EMCP_MAX_PIDS",
                    shown(agreed.max_pids.map(|pids| pids.to_string())),
                ),
                ("EMCP_MAX_STORAGE", bytes(agreed.max_storage)),
            ]
        };
        let both = values(self).into_iter().zip(values(emcp));
        both.filter(|(own, theirs)| own != theirs)
            .map(|((setting, own), (_, theirs))| {
                format!("{setting} is {own} at the broker and {theirs} at EMCP")
            })
            .collect()
    }
}
