use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::model::{Desired, Error, Principal, Server, ServerId};

const MAXIMA: Maxima = Maxima {
    memory_bytes: 1 << 30,
    cpus: 2.0,
    pids: 256,
    storage_bytes: 1 << 30,
};

/// A change of each setting to what it is not by default.
fn changes() -> Value {
    json!({
        "description": "other", "entry_object": "other", "runtime": "mcp2",
        "args": ["--rows", "2"], "storage": {"size_bytes": 16_777_216}, "egress": "none",
        "pass_headers": ["Authorization"], "limits": {"pids": 64}, "sleep": "never",
        "hold": true,
    })
}

fn patch(body: Value) -> PatchServer {
    serde_json::from_value(body).unwrap()
}

fn server(desired: Desired) -> Server {
    let name = "demo".parse().unwrap();
    let server = Server::new(
        ServerId::new(),
        name,
        Principal::by_name("ada"),
        Timestamp::UNIX_EPOCH,
    );
    Server { desired, ..server }
}

fn changed(server: &Server, body: Value) -> Result<Server> {
    let mut server = server.clone();
    let settings = server.settings.with(patch(body), &MAXIMA)?;
    server.set(settings)?;
    Ok(server)
}

/// A part of a form, in the words of a test.
struct Text(&'static str);

impl Part for Text {
    fn text(self, _: &'static str) -> Result<String> {
        Ok(self.0.to_owned())
    }

    fn json<T: serde::de::DeserializeOwned>(self, _: &'static str) -> Result<T> {
        Ok(serde_json::from_str(self.0).unwrap())
    }

    fn object<T: serde::de::DeserializeOwned>(self, field: &'static str) -> Result<T> {
        self.json(field)
    }

    fn word_or_json(self, _: &'static str) -> Result<Value> {
        Ok(self.0.into())
    }
}

#[test]
fn what_is_set_is_shown_and_kept_as_it_was_sent_and_no_field_is_forgotten() {
    let all = changes();
    let settings = ServerSettings::default()
        .with(patch(all.clone()), &MAXIMA)
        .unwrap();
    let shown = serde_json::to_value(&settings).unwrap();
    let by_default = serde_json::to_value(ServerSettings::default()).unwrap();
    assert_eq!(
        shown.as_object().unwrap().len(),
        all.as_object().unwrap().len()
    );
    for (field, sent) in all.as_object().unwrap() {
        let expected = match field.as_str() {
            "limits" => json!({"memory_bytes": 536_870_912, "cpus": 1.0, "pids": 64}),
            _ => sent.clone(),
        };
        assert_eq!(shown[field], expected, "{field}");
        assert_ne!(by_default[field], expected, "{field}");
    }
    let mut kept = server(Desired::Running);
    kept.settings = settings;
    let record = serde_json::to_value(&kept).unwrap();
    assert_eq!(record["egress"], "none");
    assert_eq!(serde_json::from_value::<Server>(record).unwrap(), kept);
}

#[test]
fn each_change_says_by_itself_what_it_takes() {
    let before = server(Desired::Running);
    for (field, sent) in changes().as_object().unwrap() {
        let after = changed(&before, json!({field: sent})).unwrap();
        let is_live = matches!(
            field.as_str(),
            "description" | "pass_headers" | "sleep" | "hold"
        );
        let restarts = field == "egress";
        let names: Vec<_> = after.settings.changes_since(&before.settings);
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(names[0].field, field);
        assert_eq!(after.settings_revision, 2, "{field}");
        assert_eq!(after.revision, 1 + u64::from(!is_live), "{field}");
        assert_eq!(after.generation, 1 + u64::from(restarts), "{field}");
        // What is as it was takes nothing, and is a change of the form all the same.
        let again = changed(&after, json!({field: sent})).unwrap();
        assert_eq!(again.revision, after.revision, "{field}");
        assert_eq!(again.generation, after.generation, "{field}");
        assert_eq!(again.settings_revision, 3, "{field}");
    }
    let stopped = changed(&server(Desired::Stopped), json!({"egress": "none"})).unwrap();
    assert_eq!((stopped.revision, stopped.generation), (2, 1));
}

#[test]
fn a_held_server_is_let_go_before_what_replaces_its_container() {
    let held = changed(&server(Desired::Running), json!({"hold": true})).unwrap();
    let Error::Conflict {
        code,
        field,
        message,
    } = changed(&held, json!({"egress": "none"})).unwrap_err()
    else {
        panic!("another refusal");
    };
    assert_eq!((code, field), ("server_held", Some("egress")));
    assert!(message.contains("\"hold\":false"), "{message}");
    assert!(changed(&held, json!({"egress": "none", "hold": false})).is_ok());
    assert!(changed(&held, json!({"args": ["x"]})).is_ok());
}

#[test]
fn what_is_absent_or_null_stays_but_where_null_is_a_value() {
    let before = ServerSettings::default()
        .with(patch(changes()), &MAXIMA)
        .unwrap();
    let with = |body| before.with(patch(body), &MAXIMA);
    assert_eq!(with(json!({})).unwrap(), before);
    for field in [
        "description",
        "entry_object",
        "runtime",
        "args",
        "egress",
        "pass_headers",
        "limits",
        "hold",
    ] {
        assert_eq!(with(json!({field: null})).unwrap(), before, "{field}");
    }
    let platform = with(json!({"sleep": null})).unwrap().sleep;
    assert_eq!(platform, SleepChoice::PlatformDefault);
    // Nothing is what storage cannot go back to.
    let refused = with(json!({"storage": null})).unwrap_err();
    assert_eq!(refused.code(), "storage_shrinks");
    let limits = with(json!({"limits": {"cpus": 2}})).unwrap().limits;
    assert_eq!((limits.cpus, limits.pids), (2.0, 64));
}

#[test]
fn each_field_is_refused_by_its_own_code() {
    for (body, code) in [
        (
            json!({"description": "x".repeat(4097)}),
            "description_too_long",
        ),
        (json!({"entry_object": ""}), "invalid_entry_object"),
        (json!({"runtime": ""}), "invalid_runtime"),
        (json!({"egress": ""}), "invalid_egress"),
        (json!({"args": "x"}), "invalid_args"),
        (json!({"storage": {}}), "invalid_storage"),
        (
            json!({"storage": {"size_bytes": 1_u64 << 31}}),
            "limit_above_maximum",
        ),
        (json!({"pass_headers": ["Cookie"]}), "invalid_pass_headers"),
        (json!({"limits": {"pids": 1}}), "invalid_limits"),
        (json!({"limits": {"cpus": 3}}), "limit_above_maximum"),
        (json!({"sleep": "always"}), "invalid_sleep"),
    ] {
        let refused = ServerSettings::default().with(patch(body.clone()), &MAXIMA);
        assert_eq!(refused.unwrap_err().code(), code, "{body}");
    }
    for body in [
        json!({"other": 1}),
        json!({"name": "demo"}),
        json!({"limits": []}),
        json!({"limits": {"other": 1}}),
        json!({"hold": "yes"}),
        json!({"members": "grace"}),
    ] {
        assert!(
            serde_json::from_value::<PatchServer>(body.clone()).is_err(),
            "{body}"
        );
    }
    // Of a server that is there.
    for body in [json!({"hold": true}), json!({"members": []})] {
        assert!(
            serde_json::from_value::<CreateServerBody>(body.clone()).is_err(),
            "{body}"
        );
    }
}

#[test]
fn a_form_sets_what_a_body_sets_and_what_it_leaves_blank_is_by_default() {
    let mut form = PatchServer::default();
    for (name, text) in [
        ("description", "other"),
        ("entry_object", "other"),
        ("runtime", "mcp2"),
        ("args", r#"["--rows","2"]"#),
        ("storage", r#"{"size_bytes":16777216}"#),
        ("egress", "none"),
        ("pass_headers", r#"["Authorization"]"#),
        ("limits", r#"{"pids":64}"#),
        ("sleep", "never"),
    ] {
        assert!(
            form.take_part(name, Text(text)).unwrap().is_none(),
            "{name}"
        );
        let twice = form.clone().take_part(name, Text(text));
        assert_eq!(twice.err().unwrap().code(), "duplicate_field", "{name}");
    }
    for other in ["hold", "members", "name", ""] {
        assert!(
            form.take_part(other, Text("x")).unwrap().is_some(),
            "{other}"
        );
    }
    let mut body = changes();
    body.as_object_mut().unwrap().remove("hold");
    let mut body: CreateServerBody = serde_json::from_value(body).unwrap();
    let by_form = ServerSettings::of_new(form, &MAXIMA).unwrap();
    let by_body = ServerSettings::of_new(body.take_settings(), &MAXIMA).unwrap();
    assert_eq!(by_form, by_body);

    let blank = patch(json!({"description": "", "entry_object": "", "runtime": "", "egress": ""}));
    let by_default = ServerSettings::of_new(PatchServer::default(), &MAXIMA).unwrap();
    assert_eq!(ServerSettings::of_new(blank, &MAXIMA).unwrap(), by_default);
    assert_eq!(by_default, ServerSettings::default());
    let narrow = Maxima { pids: 32, ..MAXIMA };
    let capped = ServerSettings::of_new(PatchServer::default(), &narrow).unwrap();
    assert_eq!(capped.limits.pids, 32);
}

#[test]
fn what_an_older_record_lacks_is_as_by_default() {
    let mut record = serde_json::to_value(server(Desired::Running)).unwrap();
    let fields = record.as_object_mut().unwrap();
    for later in changes().as_object().unwrap().keys() {
        // Side by side with the rest, as it was before there was a type for it.
        assert!(fields.remove(later).is_some(), "{later}");
    }
    fields.remove("members");
    let server: Server = serde_json::from_value(record).unwrap();
    assert_eq!(server.settings, ServerSettings::default());
    let is_of = |name| server.belongs_to(Principal::by_name(name).id);
    assert!(is_of("ada") && !is_of("bob"));
}
