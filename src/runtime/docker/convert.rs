//! Pure conversions between EMCP's words and Docker's.

use std::collections::HashMap;

use bollard::models::{
    ContainerConfig, ContainerCreateBody, ContainerState, ContainerStateStatusEnum,
    ContainerSummary, ContainerSummaryStateEnum, EndpointIpamConfig, EndpointSettings, HostConfig,
    HostConfigLogConfig, Mount, MountType, NetworkingConfig, ResourcesUlimits, RestartPolicy,
    RestartPolicyNameEnum,
};
use secrecy::{ExposeSecret, SecretString};

use super::disk::{self, OpenDisk};
use super::{
    LABEL_GENERATION, LABEL_INSTANCE, LABEL_NAME, LABEL_REVISION, LABEL_RUN_OF, LABEL_SECRETS,
    LABEL_SERVER, seccomp,
};
use crate::identity::BundleSource;
use crate::model::{ContainerId, Egress, Limits};
use crate::runtime::{Container, ContainerSpec, Endpoint, Phase, Run};

/// The unprivileged user of the base image.
pub(super) const CONTAINER_USER: &str = "10001:10001";
const CODE_TARGET: &str = "/app/user_code";
/// Files can be written here and in `/dev/shm` alone. Both live in memory, are
/// counted against the container's limit, and go with the container.
const TMP_OPTIONS: &str = "rw,noexec,nosuid,nodev,size=64m,mode=1777";
/// `/dev/shm` stays: Python's `multiprocessing` has its locks there, and with
/// it every process pool.
const SHM_BYTES: i64 = 64 * 1024 * 1024;
/// Nothing needs message queues, and the kernel counts their memory for a user,
/// not for a container: one server could use up all servers' share. The mount
/// and the system call are closed one by one.
const MQUEUE_OPTIONS: &str = "ro,noexec,nosuid,nodev,size=4k";

/// The container contract (`docs/security.md`, "Containers") in Docker's words.
pub(super) fn create_body(
    spec: &ContainerSpec,
    disk: Option<&OpenDisk>,
    network: &str,
    instance: &str,
) -> ContainerCreateBody {
    let (dns, dns_options) = name_servers(spec.egress);
    let mut mounts = vec![code_mount(&spec.bundle)];
    mounts.extend(disk.map(|disk| disk::mount(disk, instance)));
    let host_config = HostConfig {
        // Restarts are the reconciler's, which also knows when to give up.
        restart_policy: Some(RestartPolicy {
            name: Some(RestartPolicyNameEnum::NO),
            maximum_retry_count: None,
        }),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(HashMap::from([
                ("max-size".to_owned(), "10m".to_owned()),
                ("max-file".to_owned(), "2".to_owned()),
            ])),
        }),
        mounts: Some(mounts),
        network_mode: Some(network.to_owned()),
        dns,
        dns_options,
        ..hardened(spec.limits)
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        user: Some(CONTAINER_USER.to_owned()),
        env: Some(
            spec.env
                .iter()
                .map(|(key, value)| format!("{key}={}", value.expose_secret()))
                .collect(),
        ),
        labels: Some(labels(spec, instance)),
        stop_timeout: i64::try_from(spec.stop_grace.as_secs()).ok(),
        host_config: Some(host_config),
        networking_config: Some(networking(network, &spec.endpoint)),
        ..ContainerCreateBody::default()
    }
}

/// The code, where the bootstrap looks for it.
pub(super) fn code_mount(bundle: &BundleSource) -> Mount {
    Mount {
        target: Some(CODE_TARGET.to_owned()),
        source: Some(bundle.dir().display().to_string()),
        typ: Some(MountType::BIND),
        read_only: Some(true),
        ..Mount::default()
    }
}

/// What every container is held by, whatever runs in it.
pub(super) fn hardened(limits: Limits) -> HostConfig {
    let strings = |items: &[&str]| Some(items.iter().map(|s| (*s).to_owned()).collect());
    let none_of = |name: &str| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(0),
        hard: Some(0),
    };
    let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        readonly_rootfs: Some(true),
        tmpfs: Some(HashMap::from([
            ("/tmp".to_owned(), TMP_OPTIONS.to_owned()),
            ("/dev/mqueue".to_owned(), MQUEUE_OPTIONS.to_owned()),
        ])),
        shm_size: Some(SHM_BYTES),
        cap_drop: strings(&["ALL"]),
        security_opt: strings(&["no-new-privileges", seccomp::SECURITY_OPTION]),
        // A core dump may be written by the host, outside the container's limits.
        ulimits: Some(vec![none_of("msgqueue"), none_of("core")]),
        init: Some(true),
        pids_limit: Some(i64::from(limits.pids)),
        memory: Some(memory),
        // The same as memory: no swap on top.
        memory_swap: Some(memory),
        nano_cpus: Some((limits.cpus * 1e9) as i64),
        // Where processors or memory run short, the platform (1024 and 0) goes
        // before its servers.
        cpu_shares: Some(512),
        oom_score_adj: Some(500),
        ..HostConfig::default()
    }
}

/// One network, one fixed address.
pub(super) fn networking(network: &str, endpoint: &Endpoint) -> NetworkingConfig {
    NetworkingConfig {
        endpoints_config: Some(HashMap::from([(network.to_owned(), place(endpoint))])),
    }
}

/// A fixed address in a network.
pub(super) fn place(endpoint: &Endpoint) -> EndpointSettings {
    EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(endpoint.ip().to_string()),
            ..EndpointIpamConfig::default()
        }),
        ..EndpointSettings::default()
    }
}

/// Without egress, names of the outside must not be resolved either: a name
/// can carry data. Docker's own resolver asks on the container's behalf, and
/// where the host's resolver listens on a loopback address, Docker before 26
/// asks it from the host, past the network's walls. A name server that is
/// given is asked from inside the container, where this address has nobody.
fn name_servers(egress: Egress) -> (Option<Vec<String>>, Option<Vec<String>>) {
    match egress {
        Egress::Open => (None, None),
        Egress::None => (
            Some(vec!["127.0.0.1".to_owned()]),
            // Nobody will answer, so that is to be known soon.
            Some(vec!["timeout:1".to_owned(), "attempts:1".to_owned()]),
        ),
    }
}

fn labels(spec: &ContainerSpec, instance: &str) -> HashMap<String, String> {
    HashMap::from([
        (LABEL_INSTANCE.to_owned(), instance.to_owned()),
        (LABEL_SERVER.to_owned(), spec.server.to_string()),
        (LABEL_RUN_OF.to_owned(), spec.instance.to_string()),
        (LABEL_NAME.to_owned(), spec.server_name.to_string()),
        (LABEL_GENERATION.to_owned(), spec.generation.to_string()),
        (LABEL_REVISION.to_owned(), spec.revision.to_string()),
        (LABEL_SECRETS.to_owned(), spec.secret_keys.join(",")),
    ])
}

/// The values of the variables that the container's label names as secret.
pub(super) fn given_secrets(config: ContainerConfig) -> Vec<SecretString> {
    let labels = config.labels.unwrap_or_default();
    let keys: Vec<&str> = labels
        .get(LABEL_SECRETS)
        .map(|names| names.split(',').collect())
        .unwrap_or_default();
    config
        .env
        .unwrap_or_default()
        .iter()
        .filter_map(|variable| variable.split_once('='))
        .filter(|(key, _)| keys.contains(key))
        .map(|(_, value)| SecretString::from(value))
        .collect()
}

/// A listed container, if its labels are EMCP's.
pub(super) fn container(summary: ContainerSummary) -> Option<Container> {
    let labels = summary.labels?;
    let number = |key: &str| labels.get(key).and_then(|text| text.parse().ok());
    Some(Container {
        id: ContainerId::of_engine(summary.id?),
        endpoints: endpoints(
            summary
                .network_settings
                .and_then(|settings| settings.networks),
        ),
        server: labels.get(LABEL_SERVER)?.parse().ok()?,
        instance: labels.get(LABEL_RUN_OF).and_then(|id| id.parse().ok()),
        generation: number(LABEL_GENERATION)?,
        revision: number(LABEL_REVISION)?,
        phase: match summary.state? {
            ContainerSummaryStateEnum::CREATED => Phase::Created,
            ContainerSummaryStateEnum::RUNNING => Phase::Running,
            ContainerSummaryStateEnum::PAUSED => Phase::Paused,
            // A dead container is one Docker failed to remove; removing it
            // again is all there is to do, as for an exited one.
            ContainerSummaryStateEnum::EXITED | ContainerSummaryStateEnum::DEAD => Phase::Exited,
            _ => Phase::InTransition,
        },
    })
}

/// Where a container is in networks.
pub(super) fn endpoints(networks: Option<HashMap<String, EndpointSettings>>) -> Vec<Endpoint> {
    networks
        .unwrap_or_default()
        .into_values()
        .filter_map(|endpoint| endpoint.ip_address?.parse().ok().map(Endpoint::at))
        .collect()
}

/// What an inspected container is doing.
pub(super) fn phase(state: &ContainerState) -> Phase {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => Phase::Created,
        Some(ContainerStateStatusEnum::RUNNING) => Phase::Running,
        Some(ContainerStateStatusEnum::PAUSED) => Phase::Paused,
        Some(ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::DEAD) => Phase::Exited,
        _ => Phase::InTransition,
    }
}

/// The present or last run of a container.
pub(super) fn run(container_id: &str, state: ContainerState) -> Run {
    let started = state.started_at.unwrap_or_default();
    Run {
        key: format!("{container_id} {started}"),
        started_at: timestamp(&started),
        finished_at: state.finished_at.as_deref().and_then(timestamp),
        exit_code: state.exit_code.unwrap_or_default(),
        oom_killed: state.oom_killed.unwrap_or_default(),
        engine_error: state.error.filter(|text| !text.is_empty()),
    }
}

/// Docker writes year 1 for "never".
fn timestamp(text: &str) -> Option<jiff::Timestamp> {
    text.parse()
        .ok()
        .filter(|at: &jiff::Timestamp| at.as_second() > 0)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{InstanceId, ServerId};

    fn spec() -> ContainerSpec {
        ContainerSpec {
            server: ServerId::new(),
            instance: InstanceId::new(),
            name: "emcp-0123456789abcdef".into(),
            server_name: "demo".parse().unwrap(),
            image: "corp/mcp-base:latest".into(),
            generation: 3,
            revision: 2,
            egress: Egress::Open,
            disk: None,
            endpoint: Endpoint::at([198, 18, 1, 5].into()),
            bundle: BundleSource::of_dir("/data/bundles/ab/abcd".into()),
            env: vec![
                ("TOKEN".into(), SecretString::from("hunter2=")),
                ("PLAIN".into(), SecretString::from("shown")),
            ],
            secret_keys: vec!["TOKEN".into()],
            limits: Limits::default(),
            stop_grace: Duration::from_secs(10),
        }
    }

    #[test]
    fn a_container_is_hardened_as_the_contract_says() {
        let body = create_body(&spec(), None, "mcp-net", "emcp");
        let host = body.host_config.unwrap();
        assert_eq!(body.user.as_deref(), Some("10001:10001"));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        let options = host.security_opt.unwrap();
        assert_eq!(options, ["no-new-privileges", seccomp::SECURITY_OPTION]);
        assert_eq!(host.init, Some(true));
        assert_eq!(host.pids_limit, Some(128));
        assert_eq!(host.memory, Some(512 * 1024 * 1024));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(1_000_000_000));
        assert_eq!(host.cpu_shares, Some(512));
        assert_eq!(host.oom_score_adj, Some(500));
        assert!(host.port_bindings.is_none() && host.publish_all_ports.is_none());
        let mounts = host.mounts.unwrap();
        assert_eq!(mounts.len(), 1, "nothing but the code is mounted");
        assert_eq!(mounts[0].read_only, Some(true));
    }

    #[test]
    fn shared_memory_is_bounded_and_message_queues_are_closed() {
        let host = create_body(&spec(), None, "mcp-net", "emcp")
            .host_config
            .unwrap();
        assert_eq!(host.shm_size, Some(64 * 1024 * 1024));
        assert!(host.tmpfs.unwrap()["/dev/mqueue"].starts_with("ro,"));
        let closed = host.ulimits.unwrap();
        assert!(closed.iter().all(|limit| limit.hard == Some(0)));
        let names: Vec<_> = closed.iter().filter_map(|l| l.name.as_deref()).collect();
        assert_eq!(names, ["msgqueue", "core"]);
    }

    #[test]
    fn without_egress_no_name_server_is_asked() {
        let mut spec = spec();
        let open = create_body(&spec, None, "mcp-net", "emcp")
            .host_config
            .unwrap();
        assert_eq!(open.dns, None);
        spec.egress = Egress::None;
        let closed = create_body(&spec, None, "x", "emcp").host_config.unwrap();
        assert_eq!(closed.dns, Some(vec!["127.0.0.1".to_owned()]));
    }

    #[test]
    fn a_container_knows_which_of_its_variables_are_secret() {
        let body = create_body(&spec(), None, "mcp-net", "emcp");
        let given = given_secrets(ContainerConfig {
            env: body.env,
            labels: body.labels,
            ..ContainerConfig::default()
        });
        let given: Vec<&str> = given.iter().map(ExposeSecret::expose_secret).collect();
        assert_eq!(given, ["hunter2="]);
        assert!(given_secrets(ContainerConfig::default()).is_empty());
    }

    #[test]
    fn labels_carry_no_trace_of_a_secret() {
        let one = spec();
        let mut other = spec();
        (other.server, other.instance) = (one.server, one.instance);
        other.env = vec![("TOKEN".into(), SecretString::from("other"))];
        assert_eq!(labels(&one, "emcp"), labels(&other, "emcp"));
    }
}
