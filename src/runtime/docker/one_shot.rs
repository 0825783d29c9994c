//! A container that does one thing, is read out and goes.

use std::collections::HashMap;

use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    CreateContainerOptions, ListContainersOptions, RemoveContainerOptions, WaitContainerOptions,
};
use futures_util::StreamExt;
use jiff::Timestamp;

use super::convert::{CONTAINER_USER, code_mount, hardened, networking};
use super::{LABEL_HELPER, LABEL_INSTANCE, explain, gone_is_fine, output, unless_already, within};
use crate::model::Limits;
use crate::runtime::{OneShot, OutputStream, RuntimeError};

/// Enough for Python to parse the largest file taken.
const LIMITS: Limits = Limits {
    memory_bytes: 256 * 1024 * 1024,
    cpus: 1.0,
    pids: 32,
};
/// The output is one short document of EMCP's own making. What a checked file
/// can blow up in it is held by this, since lines are cut too (64 KiB).
const OUTPUT_LINES_MAX: usize = 32;
/// Older than any of them may become.
const YOUNG_SECS: i64 = 60;

/// Runs it and returns what it wrote to standard output.
pub(super) async fn run(
    docker: &Docker,
    network: &str,
    instance: &str,
    shot: &OneShot<'_>,
) -> Result<String, RuntimeError> {
    let body = create_body(network, instance, shot);
    let creating = docker.create_container(None::<CreateContainerOptions>, body);
    let created = within(shot.patience, creating).await?;
    let outcome = tokio::time::timeout(shot.patience, to_its_end(docker, &created.id)).await;
    remove(docker, &created.id).await?;
    outcome.unwrap_or_else(|_| {
        Err(RuntimeError::Refused(format!(
            "a helper container did not end within {} s",
            shot.patience.as_secs()
        )))
    })
}

/// Removes those that a killed EMCP left.
pub(super) async fn remove_all(docker: &Docker, instance: &str) -> Result<(), RuntimeError> {
    let labels = vec![
        format!("{LABEL_INSTANCE}={instance}"),
        LABEL_HELPER.to_owned(),
    ];
    let options = ListContainersOptions {
        all: true,
        filters: Some(HashMap::from([("label".to_owned(), labels)])),
        ..ListContainersOptions::default()
    };
    let left = docker
        .list_containers(Some(options))
        .await
        .map_err(explain)?;
    // This EMCP may have begun one already.
    let youngest = Timestamp::now().as_second() - YOUNG_SECS;
    let left = left
        .into_iter()
        .filter(|one| one.created.is_none_or(|created| created < youngest));
    for container in left {
        remove(docker, &container.id.unwrap_or_default()).await?;
    }
    Ok(())
}

pub(super) async fn remove(docker: &Docker, id: &str) -> Result<(), RuntimeError> {
    let options = RemoveContainerOptions {
        force: true,
        v: true,
        ..RemoveContainerOptions::default()
    };
    gone_is_fine(unless_already(
        docker.remove_container(id, Some(options)).await,
    ))
}

async fn to_its_end(docker: &Docker, id: &str) -> Result<String, RuntimeError> {
    docker.start_container(id, None).await.map_err(explain)?;
    let mut ends = Box::pin(docker.wait_container(id, None::<WaitContainerOptions>));
    // A code other than 0 comes as an error; what it wrote tells more.
    let _ = ends.next().await;
    let lines = output::tail(docker, id, OUTPUT_LINES_MAX).await?;
    let written = lines
        .into_iter()
        .filter(|line| line.stream == OutputStream::Stdout)
        .map(|line| line.text);
    Ok(written.collect::<Vec<_>>().join("\n"))
}

fn create_body(network: &str, instance: &str, shot: &OneShot<'_>) -> ContainerCreateBody {
    let endpoint = shot.endpoint.as_ref();
    let network_mode = endpoint.map_or("none", |_| network);
    ContainerCreateBody {
        image: Some(shot.image.to_owned()),
        cmd: Some(shot.command.iter().map(|word| (*word).to_owned()).collect()),
        user: Some(CONTAINER_USER.to_owned()),
        env: Some(shot.env.clone()),
        labels: Some(HashMap::from([
            (LABEL_INSTANCE.to_owned(), instance.to_owned()),
            (LABEL_HELPER.to_owned(), "one-shot".to_owned()),
        ])),
        host_config: Some(HostConfig {
            network_mode: Some(network_mode.to_owned()),
            mounts: Some(shot.bundle.map(code_mount).into_iter().collect()),
            ..hardened(LIMITS)
        }),
        networking_config: endpoint.map(|endpoint| networking(network, endpoint)),
        ..ContainerCreateBody::default()
    }
}
