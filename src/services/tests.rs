//! Uploads against each other, against a database that is busy, and against the
//! end of EMCP at every point.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::version_files::UnrecordedVersion;
use super::{App, CodeUpload, CreateServer, Endings, orphans, start};
use crate::access::Caller;
use crate::maintenance::check;
use crate::model::{Deed, Error, Event, PatchServer, Principal, Seen, ServerId};
use crate::settings::SettingsInput;
use crate::store::ServerChange;

/// Uploads at the same time.
const UPLOADS: usize = 24;
/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// A whole service with an engine that says nothing; no reconciler runs.
struct Setting {
    app: Arc<App>,
    caller: Caller,
    _dir: TempDir,
    _engine: UnixListener,
}

impl Setting {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("engine.sock");
        let engine = UnixListener::bind(&socket).unwrap();
        let settings = SettingsInput {
            data_dir: Some(dir.path().join("data")),
            docker_host: Some(format!("unix://{}", socket.display())),
            firewall: Some("off".to_owned()),
            ..SettingsInput::default()
        };
        let endings = Endings {
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cancel: CancellationToken::new(),
        };
        let started = start(settings.check().unwrap(), endings).await.unwrap();
        let app = started.app;
        let token = fs::read_to_string(dir.path().join("data/admin-token")).unwrap();
        let caller = app
            .authentication
            .identify(token.trim(), IpAddr::V4(Ipv4Addr::LOCALHOST))
            .unwrap();
        Self {
            app,
            caller,
            _dir: dir,
            _engine: engine,
        }
    }

    async fn create(&self, name: &str) -> ServerId {
        let new = CreateServer {
            name: name.parse().unwrap(),
            settings: PatchServer::default(),
            code: code(name),
            env: Vec::new(),
            start: false,
        };
        let permit = self.caller.may_create().unwrap();
        self.app.servers.create(&permit, new).await.unwrap().id
    }

    async fn upload(&self, id: ServerId, text: &str) -> crate::model::Result<()> {
        self.upload_having_seen(Seen::default(), id, text).await
    }

    async fn upload_having_seen(
        &self,
        seen: Seen,
        id: ServerId,
        text: &str,
    ) -> crate::model::Result<()> {
        let server = self.app.behind.directory.get(id).unwrap().server;
        let permit = self.caller.may_write(&server).unwrap();
        let uploaded = self.app.code.put(&permit, seen, code(text), true);
        uploaded.await.map(drop)
    }

    /// Every record has its file, every file its record, and no mark remains.
    async fn assert_sound(&self) {
        let app = &self.app;
        let findings = check(&app.behind.store, &app.behind.vault, &app.behind.layout)
            .await
            .unwrap();
        assert_eq!(findings, []);
        for entry in app.behind.directory.list() {
            let marks = app
                .behind
                .layout
                .unrecorded_on_disk(entry.server.id)
                .unwrap();
            assert!(marks.is_empty(), "{}: {marks:?}", entry.server.name);
        }
    }

    /// The numbers of the recorded versions, oldest first.
    async fn recorded(&self, id: ServerId) -> Vec<u32> {
        let versions = self.app.behind.store.versions_of(id).await.unwrap();
        versions.iter().map(|version| version.number).collect()
    }

    /// What the next start does with what a crash left.
    async fn start_again(&self) {
        let entries = self.app.behind.directory.list();
        orphans::remove(&self.app.behind.layout, &self.app.behind.store, &entries)
            .await
            .unwrap();
    }
}

fn code(text: &str) -> CodeUpload {
    CodeUpload::check(format!("text = {text:?}\n").as_bytes(), 1_000).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_uploads_on_top_of_one_version_at_the_same_time_one_is_taken() {
    let setting = Arc::new(Setting::new().await);
    let id = setting.create("one").await;
    let tag = setting
        .app
        .behind
        .directory
        .get(id)
        .unwrap()
        .server
        .etags()
        .code;
    let mut uploads = JoinSet::new();
    for number in 0..UPLOADS {
        let setting = Arc::clone(&setting);
        let seen = Seen::from_if_match([tag.as_str()]);
        uploads.spawn(async move {
            let text = format!("upload {number}");
            setting.upload_having_seen(seen, id, &text).await
        });
    }
    let mut taken = 0;
    while let Some(uploaded) = timeout(PATIENCE, uploads.join_next()).await.unwrap() {
        match uploaded.unwrap() {
            Ok(()) => taken += 1,
            Err(error) => assert_eq!(error.code(), "precondition_failed"),
        }
    }
    assert_eq!(taken, 1);
    assert_eq!(setting.recorded(id).await.len(), 2);
    setting.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_uploads_at_the_same_time_each_is_kept_and_the_last_is_in_use() {
    let setting = Arc::new(Setting::new().await);
    let one = setting.create("one").await;
    let mut others = Vec::new();
    for number in 0..UPLOADS {
        others.push(setting.create(&format!("other-{number}")).await);
    }
    let mut uploads = JoinSet::new();
    for (number, other) in others.iter().copied().enumerate() {
        for id in [one, other] {
            let setting = Arc::clone(&setting);
            uploads.spawn(async move { setting.upload(id, &format!("upload {number}")).await });
        }
    }
    while let Some(uploaded) = timeout(PATIENCE, uploads.join_next()).await.unwrap() {
        uploaded.unwrap().unwrap();
    }
    let newest = UPLOADS as u32 + 1;
    assert_eq!(
        setting.recorded(one).await,
        (1..=newest).collect::<Vec<_>>()
    );
    let server = setting.app.behind.directory.get(one).unwrap().server;
    assert_eq!((server.version, server.newest_version), (newest, newest));
    let versions = setting.app.behind.store.versions_of(one).await.unwrap();
    let mut uploaded: Vec<_> = versions[1..].iter().map(|v| v.sha256.clone()).collect();
    let mut sent: Vec<_> = (0..UPLOADS)
        .map(|number| format!("text = {:?}\n", format!("upload {number}")))
        .map(|text| hex::encode(Sha256::digest(text)))
        .collect();
    uploaded.sort();
    sent.sort();
    assert_eq!(uploaded, sent);
    for other in others {
        assert_eq!(setting.recorded(other).await, [1, 2]);
    }
    setting.assert_sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upload_is_on_disk_before_it_waits_for_the_database() {
    let setting = Arc::new(Setting::new().await);
    let id = setting.create("demo").await;
    let (is_held_sender, is_held) = mpsc::channel();
    let (let_go, may_go) = mpsc::channel::<()>();
    let holding = {
        let store = setting.app.behind.store.clone();
        tokio::spawn(async move {
            let held = store.update_server(id, None, move |_| {
                is_held_sender.send(()).unwrap();
                let _ = may_go.recv();
                Err(Error::Internal("it only held the database".to_owned()))
            });
            held.await.map(drop)
        })
    };
    is_held.recv_timeout(PATIENCE).unwrap();

    let uploading = {
        let setting = Arc::clone(&setting);
        tokio::spawn(async move { setting.upload(id, "second").await })
    };
    let file = setting.app.behind.layout.code_file(id, 2);
    let is_written = async {
        while fs::read(&file).ok().as_deref() != Some(b"text = \"second\"\n") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let written = timeout(PATIENCE, is_written).await;
    assert_eq!(setting.recorded(id).await, [1]);
    drop(let_go);
    written.expect("it waits for the database before it writes its file");
    assert!(holding.await.unwrap().is_err());
    timeout(PATIENCE, uploading)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    assert_eq!(setting.recorded(id).await, [1, 2]);
    setting.assert_sound().await;
}

/// Where EMCP ends during an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    NumberTaken,
    HalfWritten,
    Written,
    Recorded,
}

impl Cut {
    const ALL: [Self; 4] = [
        Self::NumberTaken,
        Self::HalfWritten,
        Self::Written,
        Self::Recorded,
    ];

    /// Does what comes before, as far as it is on disk.
    fn reached(self, app: &App, id: ServerId, newest: u32) -> u32 {
        let files = UnrecordedVersion::take(&app.behind.layout, id, newest).unwrap();
        let number = files.number();
        match self {
            Self::NumberTaken => {}
            Self::HalfWritten => {
                let part = app
                    .behind
                    .layout
                    .code_dir(id, number)
                    .join(".server.py.1.tmp");
                fs::write(part, "tex").unwrap();
            }
            Self::Written | Self::Recorded => files.write(&code("cut")).unwrap(),
        }
        number
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_off_is_there_whole_or_not_at_all() {
    let setting = Setting::new().await;
    let app = &setting.app;
    for cut in Cut::ALL {
        let id = setting.create(&format!("{cut:?}").to_lowercase()).await;
        // One that came later was quicker.
        let number = cut.reached(app, id, 1);
        setting.upload(id, "later").await.unwrap();
        if cut == Cut::Recorded {
            let now = Timestamp::now();
            let actor = Principal::by_name("ann");
            let version = code("cut").version(number, actor.clone(), now);
            let event = Event::of_deed(now, Deed::CodeUploaded { version: number }, &actor);
            let change = ServerChange {
                version: Some(version),
                ..ServerChange::of_record(event)
            };
            app.behind
                .store
                .update_server(id, None, |_| Ok(change))
                .await
                .unwrap();
        }
        setting.start_again().await;
        let expected: &[u32] = if cut == Cut::Recorded {
            &[1, 2, 3]
        } else {
            &[1, 3]
        };
        assert_eq!(setting.recorded(id).await, expected, "{cut:?}");
        setting.upload(id, "afterwards").await.unwrap();
        assert_eq!(setting.recorded(id).await.last(), Some(&4), "{cut:?}");
    }
    setting.assert_sound().await;
}

#[tokio::test]
async fn a_creation_that_is_cut_off_leaves_nothing() {
    let setting = Setting::new().await;
    for cut in [Cut::NumberTaken, Cut::HalfWritten, Cut::Written] {
        let id = ServerId::new();
        cut.reached(&setting.app, id, 0);
        setting.start_again().await;
        assert!(
            !setting.app.behind.layout.server_dir(id).exists(),
            "{cut:?}"
        );
    }
    setting.assert_sound().await;
}
