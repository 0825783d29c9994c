//! What is stored, and how its shape has changed: each kind of record has a
//! version of its own and numbered steps from each version to the next.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::StoredEnvVar;
use super::leases::Lease;
use crate::model::{
    AuditEntry, BundleDigest, BundlePath, Event, Happening, Instance, KnownPrincipal, Origin,
    Principal, Reason, Release, RunState, Server, Token, TokenId,
};
use crate::vault::Sealed;

/// A kind of record.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// The version it is written with now.
    const VERSION: u32 = 1;

    /// Makes a record of version `from` into one of the next. What it does not
    /// know it leaves alone: the record then fails to be read, and stays.
    fn upgrade(_from: u32, _data: &mut Value) {}
}

impl Record for u64 {}
impl Record for Sealed {}
impl Record for Instance {}
impl Record for Lease {}
impl Record for Vec<StoredEnvVar> {}
impl Record for KnownPrincipal {}

/// Puts whom a name stood for into its place: until ids came, a person was the
/// name of their token.
fn name_becomes_principal(place: &mut Value) {
    if let Some(name) = place.as_str() {
        *place = written(Principal::by_name(name));
    }
}

fn written(value: impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

impl Record for Server {
    const VERSION: u32 = 2;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had names of people.
        if from == 1 {
            name_becomes_principal(&mut data["creator"]);
            let members = data.get_mut("members").and_then(Value::as_array_mut);
            members
                .into_iter()
                .flatten()
                .for_each(name_becomes_principal);
        }
    }
}

impl Record for Token {
    const VERSION: u32 = 2;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had names of people, and whom it shows and what it grants in one.
        let Some(token) = data.as_object_mut().filter(|_| from == 1) else {
            return;
        };
        let mut take = |field: &str| token.remove(field).unwrap_or_default();
        let (name, is_bound) = (take("name"), take("bound_to_maker") == true);
        let (role, servers) = (take("role"), take("servers"));
        let Some(name) = name.as_str() else {
            return;
        };
        let maker = token.get_mut("created_by");
        let maker = maker.map_or(Value::Null, |maker| {
            name_becomes_principal(maker);
            maker.clone()
        });
        let id = token.get("id").map(TokenId::deserialize);
        let origin = match id {
            Some(Ok(id)) if is_bound => Origin::Token(id),
            _ => Origin::of_name(name),
        };
        token.insert("principal".to_owned(), written(origin.called(name)));
        let bound_to = if is_bound { maker } else { Value::Null };
        let grant = json!({"role": role, "servers": servers, "bound_to": bound_to});
        token.insert("grant".to_owned(), grant);
    }
}

impl Record for AuditEntry {
    const VERSION: u32 = 2;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had names of people.
        let Some(entry) = data.as_object_mut().filter(|_| from == 1) else {
            return;
        };
        let is_a_developers = entry.get_mut("made_by").map(name_becomes_principal);
        let token = entry.get("token_id").map(TokenId::deserialize);
        let Some(actor) = entry.get_mut("actor") else {
            return;
        };
        match (is_a_developers, token, actor.as_str()) {
            (Some(()), Some(Ok(token)), Some(name)) => {
                *actor = written(Origin::Token(token).called(name));
            }
            _ => name_becomes_principal(actor),
        }
    }
}

/// As it was before instances had it.
impl Record for RunState {
    const VERSION: u32 = 2;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had the reason as a sentence.
        if from == 1
            && let Some(words) = data["reason"].as_str()
        {
            data["reason"] = written(Reason::from_words(words));
        }
    }
}

impl Record for Event {
    const VERSION: u32 = 3;

    fn upgrade(from: u32, data: &mut Value) {
        let Some(event) = data.as_object_mut() else {
            return;
        };
        // 2 had names of people.
        if from == 2 {
            event.get_mut("actor").map(name_becomes_principal);
        }
        // 1 had what happened as a sentence.
        if from == 1
            && let Some(Value::String(words)) = event.remove("message")
            && let Ok(Value::Object(what)) = serde_json::to_value(Happening::from_words(&words))
        {
            event.extend(what);
        }
    }
}

impl Record for Release {
    const VERSION: u32 = 3;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had names of people.
        if from == 1 {
            name_becomes_principal(&mut data["uploaded_by"]);
        }
        // 2 was of one file, which was found by the release's number.
        let Some(release) = data.as_object_mut().filter(|_| from == 2) else {
            return;
        };
        let mut sha256 = [0; 32];
        let digits = release.get("sha256").and_then(Value::as_str);
        let is_read = digits.is_some_and(|text| hex::decode_to_slice(text, &mut sha256).is_ok());
        let size_bytes = release.get("size_bytes").and_then(Value::as_u64);
        if let (true, Some(size_bytes)) = (is_read, size_bytes) {
            let bundle = BundleDigest::of_file(sha256, size_bytes).to_string();
            let entry_file = BundlePath::only_file().to_string();
            release.insert("bundle".to_owned(), bundle.into());
            release.insert("entry_file".to_owned(), entry_file.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::model::{Deed, KnownFault, Status};
    use crate::store::codec::{decode, encode};

    /// As EMCP wrote it before reasons had codes.
    fn old_state(reason: &str) -> Vec<u8> {
        let state = json!({
            "status": "error", "reason": reason, "since": "2026-11-01T08:00:00Z",
            "generation": 3, "applied_revision": 2, "container_id": "c", "exit_code": 1,
            "last_error": {
                "code": "crashed", "message": "the server ended with exit code 1",
                "log_tail": ["x"], "at": "2026-11-01T08:00:00Z",
            },
            "restarts": 1, "quick_failures": 2, "retry_at": null, "gave_up": false,
            "accounted_run": "c 1", "ready_run": null, "started_at": null,
        });
        serde_json::to_vec(&json!({"v": 1, "data": state})).unwrap()
    }

    #[test]
    fn a_state_of_before_keeps_its_words_and_gets_a_code_where_one_is_known() {
        let text = "the server ended with exit code 1; next try in 2 s";
        let state: RunState = decode(&old_state(text)).unwrap();
        assert_eq!(state.reason, Reason::Older { text: text.into() });
        assert_eq!((state.status, state.restarts), (Status::Error, 1));
        let failure = state.last_error.as_ref().unwrap();
        assert_eq!(failure.fault.code, "crashed");
        assert_eq!(failure.fault.args, None);
        let again: RunState = decode(&encode(&state).unwrap()).unwrap();
        assert_eq!(again, state);

        let served = old_state("it answers MCP and its route is live");
        assert_eq!(decode::<RunState>(&served).unwrap().reason, Reason::Serving);
    }

    #[test]
    fn an_event_of_before_keeps_its_words_and_gets_a_code_where_one_is_known() {
        let old = |kind: &str, message: &str| {
            let event = json!({
                "at": "2026-11-01T08:00:00Z", "kind": kind, "message": message, "actor": "ann",
            });
            serde_json::to_vec(&json!({"v": 1, "data": event})).unwrap()
        };
        let created: Event = decode(&old("created", "it was created")).unwrap();
        assert_eq!(created.what, Happening::Deed(Deed::Created));
        assert_eq!(created.actor, Some(Principal::by_name("ann")));
        let text = "version 3 of its code was uploaded";
        let uploaded: Event = decode(&old("code", text)).unwrap();
        assert_eq!(uploaded.what.to_string(), text);
        for event in [created, uploaded] {
            let again: Event = decode(&encode(&event).unwrap()).unwrap();
            assert_eq!(again, event);
        }
    }

    fn of_before<T: Record>(data: Value) -> T {
        decode(&serde_json::to_vec(&json!({"v": 1, "data": data})).unwrap()).unwrap()
    }

    #[test]
    fn a_token_of_before_shows_the_person_of_its_name_or_itself_where_a_developer_made_it() {
        let old = |maker: &str, is_bound: Value| -> Token {
            of_before(json!({
                "id": "01980000-0000-7000-8000-000000000001", "name": "laptop", "role": "connect",
                "servers": ["01980000-0000-7000-8000-000000000000"], "hash": "00",
                "created_at": "2026-11-01T08:00:00Z", "created_by": maker,
                "bound_to_maker": is_bound, "expires_at": null,
            }))
        };
        let by_admin = old("admin", json!(false));
        assert_eq!(by_admin.principal, Principal::by_name("laptop"));
        assert_eq!(by_admin.created_by, Principal::administrator());
        assert_eq!(by_admin.grant.bound_to, None);
        let by_ada = old("ada", json!(true));
        assert_eq!(by_ada.principal, Origin::Token(by_ada.id).called("laptop"));
        assert_eq!(by_ada.principal.name, "laptop");
        assert_eq!(by_ada.grant.bound_to, Some(Principal::by_name("ada")));
        assert!(by_ada.grant.only_server().is_some());
        let again: Token = decode(&encode(&by_ada).unwrap()).unwrap();
        assert_eq!(again, by_ada);
    }

    #[test]
    fn a_line_of_before_is_its_persons_and_that_of_a_developers_token_the_developers() {
        let old = |more: Value| {
            let mut line = json!({
                "at": "2026-11-01T08:00:00Z", "action": "server.call", "result": "ok",
                "token_id": "01980000-0000-7000-8000-000000000001",
            });
            let fields = line.as_object_mut().unwrap();
            fields.extend(more.as_object().unwrap().clone());
            of_before::<AuditEntry>(line)
        };
        let by_ada = old(json!({"actor": "ada"}));
        assert_eq!(by_ada.holder(), Some(&Principal::by_name("ada")));
        let by_token = old(json!({"actor": "bob", "made_by": "ada"}));
        assert_eq!(by_token.holder(), Some(&Principal::by_name("ada")));
        assert_ne!(by_token.actor, Some(Principal::by_name("bob")));
        assert_eq!(by_token.actor.unwrap().name, "bob");
        assert_eq!(old(json!({})).holder(), None);
    }

    #[test]
    fn a_version_of_before_is_a_release_whose_bundle_has_its_file() {
        let by = Principal::by_name("ann");
        let release = Release::of_file(3, b"mcp = None\n", by, Timestamp::UNIX_EPOCH);
        let mut old = json!({
            "number": 3, "sha256": release.sha256, "size_bytes": 11, "uploaded_by": "ann",
            "uploaded_at": "1970-01-01T00:00:00Z",
        });
        let stored = |data: &Value| serde_json::to_vec(&json!({"v": 1, "data": data})).unwrap();
        assert_eq!(decode::<Release>(&stored(&old)).unwrap(), release);
        let again: Release = decode(&encode(&release).unwrap()).unwrap();
        assert_eq!(again, release);
        old["sha256"] = "of nothing".into();
        assert!(decode::<Release>(&stored(&old)).is_err());
    }

    #[test]
    fn a_state_of_now_comes_back_as_it_was() {
        let state = RunState {
            reason: Reason::Failed {
                failure: KnownFault::crashed(137).into(),
            },
            ..RunState::never_ran(Timestamp::UNIX_EPOCH)
        };
        let again: RunState = decode(&encode(&state).unwrap()).unwrap();
        assert_eq!(again, state);
    }

    #[test]
    fn a_record_of_a_newer_emcp_or_of_no_known_shape_is_refused() {
        let newer = serde_json::to_vec(&json!({"v": 99, "data": {}})).unwrap();
        let refused = decode::<RunState>(&newer).unwrap_err().to_string();
        assert!(refused.contains("use a newer EMCP"), "{refused}");
        let odd = serde_json::to_vec(&json!({"v": 1, "data": {"reason": 7}})).unwrap();
        assert!(decode::<RunState>(&odd).is_err());
        assert!(decode::<Event>(&odd).is_err());
    }
}
