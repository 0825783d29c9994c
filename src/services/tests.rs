//! Uploads against each other, against a database that is busy, and against the
//! end of EMCP at every point.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::collection::collect;
use super::{App, CodeUpload, CreateServer, Endings, orphans, start};
use crate::access::Caller;
use crate::bundles::Bundles;
use crate::clock::Clock;
use crate::maintenance::check;
use crate::model::{Bundle, Deed, Event, PatchServer, Principal, Seen, ServerId};
use crate::runtime::fake::FakeEngine;
use crate::settings::SettingsInput;
use crate::store::{NewRelease, ServerChange};

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

    /// Every record has its file, and every file comes to have a record.
    async fn assert_sound(&self) {
        let app = &self.app;
        let findings = check(&app.behind.store, &app.behind.vault, &app.behind.layout)
            .await
            .unwrap();
        assert_eq!(findings, []);
        let in_use = app.behind.store.bundles_in_use().await.unwrap();
        let is_settled = async {
            while BTreeSet::from_iter(app.behind.bundles.on_disk().unwrap()) != in_use {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let settled = timeout(PATIENCE, is_settled).await;
        settled.expect("something lies there that no release has");
    }

    /// The numbers of the recorded versions, oldest first.
    async fn recorded(&self, id: ServerId) -> Vec<u32> {
        let releases = self.app.behind.store.releases_of(id).await.unwrap();
        releases.iter().map(|release| release.number).collect()
    }

    /// What the next start does with what a crash left.
    async fn start_again(&self) {
        let (app, engine) = (&self.app, FakeEngine::new(Clock::Wall));
        let bundles = Arc::new(Bundles::new(app.behind.layout.root()));
        orphans::take_over(&app.behind.layout, &app.behind.store, &bundles)
            .await
            .unwrap();
        collect(&app.behind.store, &bundles, &engine).await.unwrap();
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
    let versions = setting.app.behind.store.releases_of(one).await.unwrap();
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

/// Where EMCP ends during an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cut {
    Noted,
    HalfWritten,
    Written,
    Recorded,
}

impl Cut {
    const ALL: [Self; 4] = [
        Self::Noted,
        Self::HalfWritten,
        Self::Written,
        Self::Recorded,
    ];

    /// Does what comes before, as far as it is on disk. No other process knows of
    /// it.
    async fn reached(self, app: &App, text: &str) -> NewRelease {
        let code = code(text);
        let bundles = Arc::new(Bundles::new(app.behind.layout.root()));
        let release = code.release(0, Principal::by_name("ann"), Timestamp::now());
        let bundle = bundles.lease(release.bundle);
        app.behind
            .store
            .note_loose_bundle(release.bundle)
            .await
            .unwrap();
        match self {
            Self::Noted => {}
            Self::HalfWritten => {
                let half = app.behind.layout.root().join("bundles/.tmp/half");
                fs::create_dir_all(&half).unwrap();
                fs::write(half.join("server.py"), "tex").unwrap();
            }
            Self::Written | Self::Recorded => {
                let content = format!("text = {text:?}\n").into_bytes();
                bundle.write(&Bundle::of_one_file(content)).unwrap();
            }
        }
        NewRelease { release, bundle }
    }
}

#[tokio::test]
async fn an_upload_that_is_cut_off_is_there_whole_or_not_at_all() {
    let setting = Setting::new().await;
    let app = &setting.app;
    for cut in Cut::ALL {
        let id = setting.create(&format!("{cut:?}").to_lowercase()).await;
        let mut new = cut.reached(app, &format!("{cut:?} was cut")).await;
        // One that came later was quicker.
        setting.upload(id, "later").await.unwrap();
        if cut == Cut::Recorded {
            let event = |number| {
                let uploaded = Deed::CodeUploaded { version: number };
                Event::of_deed(Timestamp::now(), uploaded, &Principal::by_name("ann"))
            };
            let change = app.behind.store.update_server(id, None, move |server| {
                server.newest_version += 1;
                new.release.number = server.newest_version;
                let event = event(new.release.number);
                Ok(ServerChange {
                    release: Some(new),
                    ..ServerChange::of_record(event)
                })
            });
            change.await.unwrap();
        }
        setting.start_again().await;
        let expected: &[u32] = if cut == Cut::Recorded {
            &[1, 2, 3]
        } else {
            &[1, 2]
        };
        assert_eq!(setting.recorded(id).await, expected, "{cut:?}");
        let bundles = app.behind.bundles.on_disk().unwrap();
        let in_use = app.behind.store.bundles_in_use().await.unwrap();
        assert_eq!(BTreeSet::from_iter(bundles), in_use, "{cut:?}");
        assert_eq!(app.behind.store.loose_bundles().await.unwrap(), []);
    }
    setting.assert_sound().await;
}

#[tokio::test]
async fn an_upload_that_is_refused_leaves_nothing() {
    let setting = Setting::new().await;
    let id = setting.create("one").await;
    let seen = Seen::from_if_match(["\"another\""]);
    let refused = setting.upload_having_seen(seen, id, "second").await;
    assert_eq!(refused.unwrap_err().code(), "precondition_failed");
    let permit = setting.caller.may_create().unwrap();
    let taken = CreateServer {
        name: "one".parse().unwrap(),
        settings: PatchServer::default(),
        code: code("never"),
        env: Vec::new(),
        start: false,
    };
    let refused = setting.app.servers.create(&permit, taken).await;
    assert_eq!(refused.err().unwrap().code(), "name_taken");
    setting.assert_sound().await;
}
