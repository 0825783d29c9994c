//! Code on disk: each content once, for as long as anybody needs it.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use super::app::TestApp;
use crate::model::{Bundle, BundleDigest, ServerId};

const CODE: &str = "mcp = None\n";
/// So often it is collected without anybody asking.
pub(super) const HOUR: Duration = Duration::from_secs(60 * 60);

impl TestApp {
    /// The folders of code that lie in the data directory.
    fn code_on_disk(&self) -> BTreeSet<PathBuf> {
        let names = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten();
            entries.map(|entry| entry.unwrap().path())
        };
        let folders = names(self.data("bundles")).filter(|path| !path.ends_with(".tmp"));
        folders.flat_map(names).collect()
    }

    /// Where the code of such a version lies.
    fn code_folder(&self, sha256: [u8; 32], size_bytes: u64) -> PathBuf {
        let digits = BundleDigest::of_file(sha256, size_bytes).hex();
        self.data("bundles").join(&digits[..2]).join(digits)
    }

    fn folder_of(&self, code: &str) -> PathBuf {
        let digits = Bundle::of_one_file(code.as_bytes().to_vec()).digest().hex();
        self.data("bundles").join(&digits[..2]).join(digits)
    }

    /// Where the code of all versions lies.
    async fn code_of_versions(&self) -> BTreeSet<PathBuf> {
        let servers = self
            .call("GET", "/api/servers", None)
            .await
            .expect(200)
            .json;
        let mut folders = BTreeSet::new();
        for server in servers["servers"].as_array().unwrap() {
            let path = format!("/api/servers/{}/versions", server["id"].as_str().unwrap());
            let listed = self.call("GET", &path, None).await.expect(200).json;
            for version in listed["versions"].as_array().unwrap() {
                let mut sha256 = [0; 32];
                hex::decode_to_slice(version["sha256"].as_str().unwrap(), &mut sha256).unwrap();
                let size_bytes = version["size_bytes"].as_u64().unwrap();
                folders.insert(self.code_folder(sha256, size_bytes));
            }
        }
        folders
    }

    /// Waits until no code lies there that no version has, and none is missing.
    pub(super) async fn until_code_is_settled(&self) {
        let needed = self.code_of_versions().await;
        let what = "only the code of versions is on disk";
        self.until(what, || self.code_on_disk() == needed).await;
    }

    async fn upload(&self, id: ServerId, code: &str) -> Value {
        let path = format!("/api/servers/{id}/code?restart=false");
        let uploaded = self.call("PUT", &path, Some(json!({"code": code}))).await;
        uploaded.expect(200).json
    }
}

#[tokio::test(start_paused = true)]
async fn the_same_file_lies_there_once_until_nobody_has_it() {
    let app = TestApp::new().await;
    let mut servers = Vec::new();
    for name in ["one", "two"] {
        let fields = json!({"name": name, "code": CODE, "start": false});
        servers.push(app.create_with(fields).await);
    }
    app.upload(servers[1], CODE).await;
    app.upload(servers[1], "x = 2\n").await;
    assert_eq!(app.code_on_disk().len(), 2);
    let app = app.restart().await;
    app.until_code_is_settled().await;
    for (id, left) in servers.into_iter().zip([2, 0]) {
        let path = format!("/api/servers/{id}");
        app.call("DELETE", &path, None).await.expect(204);
        app.until_code_is_settled().await;
        assert_eq!(app.code_on_disk().len(), left);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_or_only_checked_leaves_nothing() {
    let app = TestApp::new().await;
    let fields = json!({"name": "demo", "code": CODE, "start": false});
    let id = app.create_with(fields).await;
    let path = format!("/api/servers/{id}/code");
    let refused = app.ask("PUT", &path).header("if-match", "\"another\"");
    let refused = refused.json(&json!({"code": "x = 2\n"})).send().await;
    refused.refused(412, "precondition_failed");
    let checked = app.call("POST", "/api/check", Some(json!({"code": "x = 3\n"})));
    checked.await.expect(200);
    let checked = app.call("POST", "/api/check", Some(json!({"code": CODE})));
    checked.await.expect(200);
    app.until_code_is_settled().await;
    assert_eq!(app.code_on_disk(), [app.folder_of(CODE)].into());
}

#[tokio::test(start_paused = true)]
async fn code_stays_for_as_long_as_a_container_has_it() {
    let app = TestApp::with(|input| {
        input.versions_kept = Some(1);
        input.versions_kept_days = Some(0);
    })
    .await;
    let id = app.run("demo", CODE).await;
    app.upload(id, "x = 2\n").await;
    let versions = format!("/api/servers/{id}/versions/1/code");
    let gone = app.call("GET", &versions, None).await;
    gone.refused(404, "version_pruned");
    // By then it is collected what can be.
    tokio::time::sleep(HOUR * 2).await;
    let both = [app.folder_of(CODE), app.folder_of("x = 2\n")];
    assert_eq!(app.code_on_disk(), both.into());
    app.act(id, "restart").await.expect(202);
    app.until_status(id, "running").await;
    tokio::time::sleep(HOUR).await;
    app.until_code_is_settled().await;
    assert_eq!(app.code_on_disk(), [app.folder_of("x = 2\n")].into());
}

#[tokio::test(start_paused = true)]
async fn altered_code_does_not_run_and_an_upload_of_the_same_mends_it() {
    let app = TestApp::new().await;
    let fields = json!({"name": "demo", "code": CODE, "start": false});
    let id = app.create_with(fields).await;
    let file = app.folder_of(CODE).join("server.py");
    fs::remove_file(&file).unwrap();
    fs::write(&file, "mcp = Evil\n").unwrap();
    let path = format!("/api/servers/{id}/code");
    app.call("GET", &path, None).await.expect(500);
    app.act(id, "start").await.expect(202);
    let failed = app.until_status(id, "error").await;
    assert_eq!(failed["last_error"]["code"], "contents_unreadable");
    assert_eq!(app.engine.runs(id), 0);

    let other = json!({"name": "other", "code": CODE, "start": false});
    app.create_with(other).await;
    assert_eq!(fs::read(&file).unwrap(), CODE.as_bytes());
    app.act(id, "restart").await.expect(202);
    app.until_status(id, "running").await;
    let code = app.call("GET", &path, None).await.expect(200);
    assert_eq!(code.text, CODE);
}
