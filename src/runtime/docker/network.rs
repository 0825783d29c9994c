//! The servers' two networks: an ordinary one, and one without a way out.

use std::collections::HashMap;

use bollard::Docker;
use bollard::errors::Error as BollardError;
use bollard::models::{
    Ipam, IpamConfig, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};
use bollard::query_parameters::InspectNetworkOptions;
use jiff::Timestamp;

use super::convert::place;
use super::{LABEL_INSTANCE, explain};
use crate::model::{AddressPool, Egress};
use crate::runtime::{Endpoint, RuntimeError};

/// Docker's own, which containers get that name none.
const DEFAULT_NETWORK: &str = "bridge";

/// When the engine made its default network, if it has one.
pub(super) async fn default_made_at(docker: &Docker) -> Result<Option<Timestamp>, RuntimeError> {
    let found = docker
        .inspect_network(DEFAULT_NETWORK, None::<InspectNetworkOptions>)
        .await;
    match found {
        Ok(found) => Ok(found.created.and_then(|at| at.parse().ok())),
        Err(BollardError::DockerResponseServerError {
            status_code: 404, ..
        }) => Ok(None),
        Err(other) => Err(explain(other)),
    }
}

/// Makes the network unless it is there with the right subnet and range.
pub(super) async fn ensure(
    docker: &Docker,
    name: &str,
    instance: &str,
    egress: Egress,
    pool: AddressPool,
) -> Result<(), RuntimeError> {
    let is_internal = egress == Egress::None;
    match docker
        .inspect_network(name, None::<InspectNetworkOptions>)
        .await
    {
        Ok(found) if found.internal.unwrap_or_default() != is_internal => {
            let flag = if is_internal { "with" } else { "without" };
            Err(RuntimeError::Refused(format!(
                "the network {name} must be made {flag} --internal; remove it, and EMCP makes it"
            )))
        }
        Ok(found) => {
            let setting = if is_internal {
                "EMCP_INTERNAL_SUBNET"
            } else {
                "EMCP_SUBNET"
            };
            check(name, setting, found.ipam.and_then(|ipam| ipam.config), pool)
        }
        Err(BollardError::DockerResponseServerError {
            status_code: 404, ..
        }) => create(docker, name, instance, is_internal, pool).await,
        Err(other) => Err(explain(other)),
    }
}

fn check(
    name: &str,
    setting: &str,
    found: Option<Vec<IpamConfig>>,
    pool: AddressPool,
) -> Result<(), RuntimeError> {
    let config = found
        .unwrap_or_default()
        .into_iter()
        .next()
        .unwrap_or_default();
    let subnet = config.subnet.unwrap_or_default();
    if subnet != pool.subnet() {
        return Err(RuntimeError::Refused(format!(
            "the network {name} has the subnet {subnet}, not {}; set {setting}={subnet}, or remove the network",
            pool.subnet()
        )));
    }
    if config.ip_range.as_deref() != Some(pool.docker_range().as_str()) {
        return Err(RuntimeError::Refused(format!(
            "the network {name} must leave servers their addresses: make it with --ip-range {}",
            pool.docker_range()
        )));
    }
    Ok(())
}

async fn create(
    docker: &Docker,
    name: &str,
    instance: &str,
    is_internal: bool,
    pool: AddressPool,
) -> Result<(), RuntimeError> {
    let request = NetworkCreateRequest {
        name: name.to_owned(),
        driver: Some("bridge".to_owned()),
        internal: Some(is_internal),
        ipam: Some(Ipam {
            config: Some(vec![IpamConfig {
                subnet: Some(pool.subnet()),
                ip_range: Some(pool.docker_range()),
                ..IpamConfig::default()
            }]),
            ..Ipam::default()
        }),
        labels: Some(HashMap::from([(
            LABEL_INSTANCE.to_owned(),
            instance.to_owned(),
        )])),
        ..NetworkCreateRequest::default()
    };
    docker.create_network(request).await.map_err(explain)?;
    tracing::info!(network = name, subnet = pool.subnet(), "network made");
    Ok(())
}

/// Puts a container into the network at this endpoint. What is left of a place
/// it has there, at another address perhaps, goes first.
pub(super) async fn attach(
    docker: &Docker,
    name: &str,
    container: &str,
    endpoint: &Endpoint,
) -> Result<(), RuntimeError> {
    let leaving = NetworkDisconnectRequest {
        container: container.to_owned(),
        force: Some(true),
    };
    // It is refused where there is no such place, which is the usual case.
    if let Err(error) = docker.disconnect_network(name, leaving).await {
        tracing::debug!(container, %error, "it had no place in its network");
    }
    let joining = NetworkConnectRequest {
        container: container.to_owned(),
        endpoint_config: Some(place(endpoint)),
    };
    docker.connect_network(name, joining).await.map_err(explain)
}
