//! The disk of a server that has storage: a file in the data directory, which
//! the kernel makes a block device of (a loop device), which Docker mounts into
//! the server's container.
//!
//! EMCP has no rights on the host besides Docker's socket, so a container that
//! may use loop devices, and nothing else, does it. It holds the device until
//! the server's container runs and has it mounted; from then on the kernel gives
//! the device up by itself when that container ends (`LO_FLAGS_AUTOCLEAR`).
//! Numbers of devices are the next one's at any time: what is made with one is
//! started at once, and never again later.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, HostConfig, Mount, MountType, MountVolumeOptions,
    MountVolumeOptionsDriverConfig,
};
use bollard::query_parameters::CreateContainerOptions;
use serde::Deserialize;
use tokio::time::sleep;

use super::convert::hardened;
use super::{ANSWER_MAX, LABEL_HELPER, LABEL_INSTANCE, explain, one_shot, output, within};
use crate::blocking::run_blocking;
use crate::model::Limits;
use crate::runtime::{DiskSpec, OutputStream, RuntimeError, STORAGE_TARGET};

/// Checking a large file system before it grows takes memory.
const LIMITS: Limits = Limits {
    memory_bytes: 512 * 1024 * 1024,
    cpus: 1.0,
    pids: 32,
};
/// For making, checking and growing the file system. The largest take longest,
/// and a start that takes longer than this fails and is tried again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at what the helper says.
const POLL: Duration = Duration::from_millis(50);
/// Enough for its one line of output, and what Python says if it fails.
const OUTPUT_LINES_MAX: usize = 32;
/// linux/Documentation/admin-guide/devices.txt: the one that gives out loop
/// devices, and these.
const DEVICES: [&str; 2] = ["c 10:237 rwm", "b 7:* rwm"];
/// `noinit_itable`: no writing of the kernel's own while a copy is made.
const MOUNT_OPTIONS: &str = "noexec,nosuid,nodev,noatime,noinit_itable";

/// A device that stays as long as this is not let go, or two minutes.
pub(in crate::runtime) struct OpenDisk {
    /// Its name on the host.
    device: String,
    /// The container that holds it.
    helper: String,
}

/// The helper's one line.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Device(String),
    Error(String),
}

/// Makes the disk where there is none yet, grows it to its size, and has a
/// device made of it.
///
/// # Errors
/// `Storage` with what is wrong, or what the engine says.
pub(super) async fn open(
    docker: &Docker,
    instance: &str,
    image: &str,
    disk: &DiskSpec,
) -> Result<OpenDisk, RuntimeError> {
    let dir = disk.source.dir().to_owned();
    let prepared = run_blocking(move || prepare(&dir)).await;
    prepared
        .map_err(io::Error::other)
        .flatten()
        .map_err(|error| RuntimeError::Storage(format!("it cannot be written: {error}")))?;
    let options = None::<CreateContainerOptions>;
    let body = create_body(instance, image, disk);
    let created = within(ANSWER_MAX, docker.create_container(options, body)).await;
    let helper = match created {
        Ok(created) => created.id,
        // As in `DockerRuntime::create`.
        Err(RuntimeError::NoSuchContainer) => {
            return Err(RuntimeError::ImageMissing(image.to_owned()));
        }
        Err(other) => return Err(other),
    };
    let answer = async {
        docker
            .start_container(&helper, None)
            .await
            .map_err(explain)?;
        answer_of(docker, &helper).await
    };
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| {
            let secs = PATIENCE.as_secs();
            Err(RuntimeError::Storage(format!(
                "it was not ready within {secs} s"
            )))
        });
    match answer {
        Ok(device) => Ok(OpenDisk { device, helper }),
        Err(error) => {
            one_shot::remove(docker, &helper).await?;
            Err(error)
        }
    }
}

/// Leaves the device to the container that was started with it, if one was.
///
/// # Errors
/// What the engine says; the device is let go all the same, a little later.
pub(super) async fn let_go(docker: &Docker, disk: OpenDisk) -> Result<(), RuntimeError> {
    one_shot::remove(docker, &disk.helper).await
}

/// A volume without a name, which goes with the container.
pub(super) fn mount(disk: &OpenDisk, instance: &str) -> Mount {
    let options = [
        ("type", "ext4"),
        ("device", &disk.device),
        ("o", MOUNT_OPTIONS),
    ];
    let options = options.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Mount {
        target: Some(STORAGE_TARGET.to_owned()),
        typ: Some(MountType::VOLUME),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(HashMap::from([(
                LABEL_INSTANCE.to_owned(),
                instance.to_owned(),
            )])),
            driver_config: Some(MountVolumeOptionsDriverConfig {
                name: Some("local".to_owned()),
                options: Some(HashMap::from(options)),
            }),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

/// The file is EMCP's own, so that it can be read for a backup. Under its first
/// name it is no disk yet.
fn prepare(dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    if !dir.join("disk").exists() {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(dir.join("disk.new"))?;
    }
    Ok(())
}

async fn answer_of(docker: &Docker, helper: &str) -> Result<String, RuntimeError> {
    loop {
        let has_ended = !is_running(docker, helper).await?;
        // Read after that: what it wrote before its end is there.
        let lines = output::tail(docker, helper, OUTPUT_LINES_MAX).await?;
        let said = lines
            .iter()
            .filter(|line| line.stream == OutputStream::Stdout)
            .find_map(|line| serde_json::from_str(&line.text).ok());
        match said {
            Some(Said::Device(device)) => return Ok(device),
            Some(Said::Error(error)) => return Err(RuntimeError::Storage(error)),
            None if has_ended => {
                let last = lines.last().map_or("", |line| line.text.as_str());
                return Err(RuntimeError::Storage(format!(
                    "the base image could not prepare it ({last}); build the image anew (make image)"
                )));
            }
            None => sleep(POLL).await,
        }
    }
}

async fn is_running(docker: &Docker, id: &str) -> Result<bool, RuntimeError> {
    let inspected = within(ANSWER_MAX, docker.inspect_container(id, None)).await?;
    Ok(inspected.state.and_then(|state| state.running) == Some(true))
}

fn create_body(instance: &str, image: &str, disk: &DiskSpec) -> ContainerCreateBody {
    let bind = |source: String, target: &str| Mount {
        target: Some(target.to_owned()),
        source: Some(source),
        typ: Some(MountType::BIND),
        ..Mount::default()
    };
    let size = disk.size_bytes.to_string();
    let command = ["python3", "-I", "/opt/emcp/bootstrap.py", "disk", &size];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(command.map(str::to_owned).to_vec()),
        // Loop devices are root's.
        user: Some("0:0".to_owned()),
        labels: Some(HashMap::from([
            (LABEL_INSTANCE.to_owned(), instance.to_owned()),
            (LABEL_HELPER.to_owned(), "disk".to_owned()),
        ])),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            mounts: Some(vec![
                bind(disk.source.dir().display().to_string(), "/storage"),
                bind("/dev".to_owned(), "/host/dev"),
            ]),
            device_cgroup_rules: Some(DEVICES.map(str::to_owned).to_vec()),
            // The disk's file belongs to whomever EMCP runs as.
            cap_add: Some(vec!["DAC_OVERRIDE".to_owned()]),
            ..hardened(LIMITS)
        }),
        ..ContainerCreateBody::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::DiskSource;

    #[test]
    fn the_helper_may_use_loop_devices_and_little_else() {
        let disk = DiskSpec {
            source: DiskSource::of_dir("/data/x/storage".into()),
            size_bytes: 64 << 20,
        };
        let host = create_body("emcp", "image", &disk).host_config.unwrap();
        assert_eq!(host.privileged, None);
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.cap_add, Some(vec!["DAC_OVERRIDE".to_owned()]));
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.readonly_rootfs, Some(true));
        assert_eq!(host.device_cgroup_rules.unwrap().len(), 2);
    }

    #[test]
    fn nothing_on_a_disk_can_be_run_or_be_a_device() {
        let disk = OpenDisk {
            device: "/dev/loop7".into(),
            helper: String::new(),
        };
        let volume = mount(&disk, "emcp").volume_options.unwrap();
        let options = volume.driver_config.unwrap().options.unwrap();
        assert_eq!(options["device"], "/dev/loop7");
        for option in ["noexec", "nosuid", "nodev"] {
            assert!(options["o"].split(',').any(|o| o == option), "{options:?}");
        }
    }

    #[test]
    fn what_the_helper_says_is_understood() {
        let said = |text| serde_json::from_str::<Said>(text).unwrap();
        assert!(matches!(said(r#"{"device":"/dev/loop1"}"#), Said::Device(d) if d == "/dev/loop1"));
        assert!(matches!(said(r#"{"error":"no room"}"#), Said::Error(e) if e == "no room"));
    }

    #[test]
    fn a_disk_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let storage = dir.path().join("storage");
        prepare(&storage).unwrap();
        assert!(storage.join("disk.new").exists());
        std::fs::rename(storage.join("disk.new"), storage.join("disk")).unwrap();
        prepare(&storage).unwrap();
        assert!(!storage.join("disk.new").exists());
    }
}
