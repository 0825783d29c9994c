//! What becomes of a server that fails, by how it fails: what is told of it, and
//! whether it is tried again.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::TestApp;
use crate::identity::{Identity, Layout};
use crate::model::{Deed, Event, Principal, ServerId};
use crate::runtime::Phase;
use crate::runtime::fake::{Fault, Op};
use crate::store::{ServerChange, Store};
use crate::vault::Vault;

/// Seconds waited before each further try, as the history tells.
async fn waits(app: &TestApp, id: ServerId) -> Vec<u64> {
    let told = app.history(id).await;
    let tries = told
        .iter()
        .filter_map(|event| match event["code"].as_str() {
            Some("failed_restarting") => Some(0),
            Some("failed_retrying") => event["args"]["wait_secs"].as_u64(),
            _ => None,
        });
    tries.collect()
}

/// Checks that a server has been given up for this failure, and is left alone.
async fn is_given_up(app: &TestApp, id: ServerId, reason: &str, failure: &str) -> Value {
    let shown = app.until_reason(id, reason).await;
    assert_eq!(shown["status"], "error");
    assert_eq!(shown["settled"], true);
    assert_eq!(shown["retry_at"], Value::Null);
    assert_eq!(shown["last_error"]["code"], failure);
    assert_eq!(shown["reason_args"]["failure"]["code"], failure);
    let runs = app.engine.runs(id);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(app.engine.runs(id), runs, "it is tried again");
    let up = |phase| matches!(phase, Phase::Running | Phase::Paused);
    let left = app.engine.containers_of(id);
    assert!(
        left.iter().all(|container| !up(container.phase)),
        "{left:?}"
    );
    let refused = app.ask_gate(&app.admin, id).send().await;
    let refused = refused.refused(503, "server_failed");
    assert_eq!(refused.header("retry-after"), Some("60"));
    shown
}

#[tokio::test(start_paused = true)]
async fn what_the_bootstrap_reports_of_the_file_is_told_and_not_tried_again() {
    let app = TestApp::new().await;
    let reported = [
        (70, "syntax_error"),
        (71, "import_error"),
        (72, "missing_dependency"),
        (73, "no_entry_object"),
        (74, "bad_entry_object"),
        (75, "serve_failed"),
        (76, "code_not_found"),
        (77, "bad_contract"),
    ];
    let mut made = Vec::new();
    for (exit_code, code) in reported {
        let report = json!({"emcp": {
            "event": "failed", "code": code, "message": "it is so", "line": 3,
            "args": {"module": "numpyy", "distribution": "numpy"},
        }});
        let file = format!(
            "# fake: say before\n# fake: say {report}\n# fake: exit {exit_code} after 100ms\n"
        );
        made.push(app.create(&format!("server-{exit_code}"), &file).await);
    }
    for ((exit_code, code), id) in reported.into_iter().zip(made) {
        let shown = is_given_up(&app, id, "failed", code).await;
        assert_eq!(shown["exit_code"], exit_code);
        let error = &shown["last_error"];
        assert_eq!(
            (&error["line"], &error["message"]),
            (&json!(3), &json!("it is so"))
        );
        assert_eq!(error["args"]["distribution"], "numpy");
        assert_eq!(error["log_tail"], json!(["before"]));
        assert_eq!(app.engine.runs(id), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_crashes_while_it_loads_is_tried_again_ever_more_slowly_and_given_up() {
    let app = TestApp::new().await;
    let id = app
        .create("demo", "# fake: warn oh no\n# fake: exit 3 after 100ms\n")
        .await;
    let shown = is_given_up(&app, id, "failed_too_often", "crashed").await;
    assert_eq!(shown["reason_args"]["failures"], 5);
    assert_eq!(
        (&shown["restarts"], &shown["exit_code"]),
        (&json!(4), &json!(3))
    );
    // Of all its runs, since it was the same container.
    assert_eq!(shown["last_error"]["log_tail"], json!(vec!["oh no"; 5]));
    assert_eq!(waits(&app, id).await, [1, 2, 4, 8]);
    assert_eq!(app.engine.runs(id), 5);
    // Whoever starts it again begins a new count.
    app.act(id, "start").await.expect(202);
    app.until("it has been tried again", || app.engine.runs(id) == 10)
        .await;
    is_given_up(&app, id, "failed_too_often", "crashed").await;
}

#[tokio::test(start_paused = true)]
async fn what_has_served_is_started_again_at_once_and_what_served_long_is_never_given_up() {
    let app = TestApp::new().await;
    let short = app.create("short", "# fake: exit 1 after 5s\n").await;
    let long = app.create("long", "# fake: exit 1 after 60s\n").await;
    is_given_up(&app, short, "failed_too_often", "crashed").await;
    assert_eq!(waits(&app, short).await, [0, 2, 4, 8]);
    app.until("it has run often", || app.engine.runs(long) == 8)
        .await;
    app.until_status(long, "running").await;
    assert_eq!(waits(&app, long).await, [0; 7]);
}

#[tokio::test(start_paused = true)]
async fn an_end_is_told_by_what_ended_it_and_a_later_run_may_do_better() {
    let app = TestApp::new().await;
    for (name, end, code, words) in [
        ("ended", "exit 0", "crashed", "ended by itself"),
        ("failed", "exit 3", "crashed", "exit code 3"),
        ("killed", "exit 137", "crashed", "was killed"),
        ("broken", "exit 139", "crashed", "signal 11"),
        ("greedy", "oom", "out_of_memory", "limit of 512 MiB"),
    ] {
        let file = format!("# fake: {end} after 100ms on run 1\n");
        let id = app.create(name, &file).await;
        let shown = app.until_status(id, "error").await;
        assert_eq!(shown["last_error"]["code"], code, "{name}");
        let message = shown["last_error"]["message"].as_str().unwrap();
        assert!(message.contains(words), "{name}: {message}");
        let shown = app.until_status(id, "running").await;
        assert_eq!(shown["restarts"], 1, "{name}");
        assert_eq!(
            shown["last_error"]["code"], code,
            "what was mended is still shown"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_engine_refuses_is_told_and_tried_again() {
    let app = TestApp::new().await;
    for (name, op, fault, code, storage) in [
        (
            "no-image",
            Op::Create,
            Fault::ImageMissing,
            "image_missing",
            json!(null),
        ),
        (
            "no-room",
            Op::Create,
            Fault::NoStorage,
            "storage_failed",
            json!({"size_bytes": 16_777_216}),
        ),
        (
            "not-made",
            Op::Create,
            Fault::Refused,
            "container_failed",
            json!(null),
        ),
        (
            "not-started",
            Op::Start,
            Fault::Refused,
            "container_failed",
            json!(null),
        ),
        (
            "nor-with-disk",
            Op::Start,
            Fault::Refused,
            "container_failed",
            json!({"size_bytes": 16_777_216}),
        ),
    ] {
        app.engine.faults(|faults| faults.next(op, fault));
        let fields = json!({"name": name, "code": "x = 1\n", "storage": storage});
        let id = app.create_with(fields).await;
        let shown = app.until_reason(id, "failed_retrying").await;
        assert_eq!(shown["last_error"]["code"], code, "{name}");
        assert!(shown["retry_at"].is_string());
        app.until_status(id, "running").await;
        assert_eq!(app.engine.containers_of(id).len(), 1, "{name}");
        // And for ever it is given up.
        app.engine
            .faults(|faults| (0..5).for_each(|_| faults.next(op, fault)));
        app.act(id, "restart").await.expect(202);
        is_given_up(&app, id, "failed_too_often", code).await;
        app.act(id, "start").await.expect(202);
        app.until_status(id, "running").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up_after_its_time() {
    let app = TestApp::with(|input| input.start_timeout_secs = Some(30)).await;
    let id = app
        .create("demo", "# fake: say loading\n# fake: never ready\n")
        .await;
    let starting = app.until_status(id, "starting").await;
    let shown = is_given_up(&app, id, "failed", "start_timeout").await;
    assert_eq!(shown["last_error"]["args"]["timeout_secs"], 30);
    assert_eq!(shown["last_error"]["log_tail"], json!(["loading"]));
    let time = |text: &Value| text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let took = time(&shown["since"]).duration_since(time(&starting["since"]));
    assert!((29..36).contains(&took.as_secs()), "{took}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_wants_a_credential_of_its_own_runs_once_its_headers_pass() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: refuse 401\n").await;
    let shown = is_given_up(&app, id, "failed", "wants_credential").await;
    assert_eq!(shown["last_error"]["args"]["status"], 401);
    app.patch(id, json!({"pass_headers": ["Authorization"]}))
        .await
        .expect(200);
    app.act(id, "start").await.expect(202);
    app.until_status(id, "running").await;
}

#[tokio::test(start_paused = true)]
async fn contents_that_cannot_be_read_are_told_as_such() {
    let app = TestApp::new().await;
    let make = async |name: &str| {
        let env = json!([{"key": "HIDDEN", "value": "xyzzy", "is_secret": true}]);
        let fields = json!({"name": name, "code": "x = 1\n", "env": env, "start": false});
        app.create_with(fields).await
    };
    let (id, other) = (make("demo").await, make("other").await);
    // Another server's secret, which cannot be opened in the place of its own.
    let app = app
        .restart_with(async move |input| {
            let settings = input.clone().check().unwrap();
            let key = Identity::load_or_create(&settings).unwrap().master_key;
            let path = Layout::new(&settings.data_dir).database();
            let store = Store::open(&path, &Vault::new(&key)).unwrap();
            let env = store.env_of(other).await.unwrap();
            let somebody = Principal::by_name("somebody");
            let event = Event::of_deed(jiff::Timestamp::now(), Deed::StartAsked, &somebody);
            let change = move |_: &mut _| {
                Ok(ServerChange {
                    env: Some(env),
                    ..ServerChange::of_record(event)
                })
            };
            store.update_server(id, None, change).await.unwrap();
        })
        .await;
    app.act(id, "start").await.expect(202);
    is_given_up(&app, id, "failed_too_often", "contents_unreadable").await;
    assert_eq!(app.engine.runs(id), 0);
}

#[tokio::test(start_paused = true)]
async fn an_app_without_mcp_runs_too() {
    let app = TestApp::new().await;
    let id = app.create("demo", "# fake: http only\n").await;
    let shown = app.until_reason(id, "serving_http").await;
    assert_eq!(shown["status"], "running");
    assert_eq!(
        shown["urls"],
        json!({"base": "https://localhost:8443/api/demo/"})
    );
    let connection = app.call("GET", "/api/servers/demo/connection", None).await;
    assert!(connection.expect(200).json["curl"].is_string());
}
