//! What is stored, and how its shape has changed: each kind of record has a
//! version of its own and numbered steps from each version to the next.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::StoredEnvVar;
use super::leases::Lease;
use crate::model::{
    AuditEntry, CodeVersion, Event, Happening, Instance, Reason, RunState, Server, Token,
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
impl Record for Server {}
impl Record for Instance {}
impl Record for Lease {}
impl Record for CodeVersion {}
impl Record for Vec<StoredEnvVar> {}
impl Record for Token {}
impl Record for AuditEntry {}

/// As it was before instances had it.
impl Record for RunState {
    const VERSION: u32 = 2;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had the reason as a sentence.
        if from == 1
            && let Some(words) = data["reason"].as_str()
        {
            data["reason"] = serde_json::to_value(Reason::from_words(words)).unwrap_or_default();
        }
    }
}

impl Record for Event {
    const VERSION: u32 = 2;

    fn upgrade(from: u32, data: &mut Value) {
        // 1 had what happened as a sentence.
        let Some(event) = data.as_object_mut().filter(|_| from == 1) else {
            return;
        };
        if let Some(Value::String(words)) = event.remove("message")
            && let Ok(Value::Object(what)) = serde_json::to_value(Happening::from_words(&words))
        {
            event.extend(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

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
        assert_eq!(created.actor.as_deref(), Some("ann"));
        let text = "version 3 of its code was uploaded";
        let uploaded: Event = decode(&old("code", text)).unwrap();
        assert_eq!(uploaded.what.to_string(), text);
        for event in [created, uploaded] {
            let again: Event = decode(&encode(&event).unwrap()).unwrap();
            assert_eq!(again, event);
        }
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
