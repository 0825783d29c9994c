//! Every document of the API can be read as well as written, and comes back as
//! it was.

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

fn round_trip<T: Serialize + DeserializeOwned + PartialEq>(text: &str) {
    let written: Value = serde_json::from_str(text).unwrap();
    let read: T = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), written);
    let again: T = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
    assert!(again == read, "{text}");
}

type Sample = (&'static str, fn(&str), &'static str);

macro_rules! samples {
    ($($document:ident $text:literal)*) => {
        &[$((stringify!($document), round_trip::<$document>, $text)),*]
    };
}

/// Those that are sent or answered as a whole, with the others within them.
#[rustfmt::skip]
const SAMPLES: &[Sample] = samples! {
    ActionBody r#"{"action": "restart"}"#
    AuditPage r#"{"entries": [
        {"id": 7, "at": "2026-01-02T03:04:05Z", "actor": "ada", "token_id": "01980000-0000-7000-8000-000000000001",
         "action": "server.create", "target": "demo", "target_id": "01980000-0000-7000-8000-000000000000",
         "result": "refused", "code": "name_taken", "from": "203.0.113.7"},
        {"id": 6, "at": "2026-01-02T03:04:05Z", "action": "token.wrong", "result": "failed", "from": "unknown", "count": 3}
    ], "next": null}"#
    ChangeToken r#"{"quota": {"servers": 3, "writes_per_minute": 60}}"#
    CheckBody r#"{"code": "mcp = None\n", "entry_object": "app", "runtime": null}"#
    CheckView r#"{"ok": false, "runtime": "mcp2", "entry_objects": ["mcp"], "problems": [
        {"severity": "error", "code": "syntax_error", "message": "invalid syntax", "args": {"module": "x"},
         "line": 1, "column": 2, "end_line": null, "end_column": null},
        {"severity": "warning", "code": "module_not_available", "message": "x", "line": null, "column": null, "end_line": null, "end_column": null}
    ]}"#
    CodeBody r#"{"code": "mcp = None\n"}"#
    CodeForm r#"{"file": "mcp = None\n"}"#
    ConnectionTest r#"{"ok": false, "public_address_tried": true, "steps": [
        {"code": "resolve", "ok": true, "duration_ms": 0.5, "detail": "found", "detail_code": "traefik_found", "detail_args": {"address": "198.18.0.2:443"}},
        {"code": "tls", "ok": null, "duration_ms": null, "detail": "not reached", "detail_code": "not_reached", "detail_args": null}
    ]}"#
    ConnectionView r#"{"urls": {"mcp": "https://h/api/demo/mcp", "sse": "https://h/api/demo/sse", "more": ["https://h/api/demo/two"]},
        "urls_with_key": {}, "ca_url": "https://h/ca.crt", "token_placeholder": "YOUR_TOKEN", "clients": {
            "cherry_studio": {"sse": {"config": {"a": [1]}, "link": "cherrystudio://x"}}, "claude_code": {"http": "claude mcp add"},
            "cursor": {"config": {}, "link": "cursor://x"}, "vscode": {"servers": {}}, "windsurf": {"mcpServers": {}}
        }, "curl": "curl https://h/api/demo/"}"#
    CreateServerBody r#"{"name": "demo", "code": "mcp = None\n", "env": [{"key": "A", "value": "1", "is_secret": false}], "start": false,
        "description": "", "entry_object": "app", "runtime": "mcp1", "args": ["--rows", "2"], "storage": null, "egress": "none",
        "pass_headers": ["Authorization"], "limits": {"pids": 64}, "sleep": null}"#
    CreateServerForm r#"{"name": "demo", "description": "x", "entry_object": "app", "runtime": "mcp2", "file": "mcp = None\n", "start": true}"#
    CreateToken r#"{"name": "ada", "role": "connect", "servers": ["demo"], "expires_at": "2026-01-02T03:04:05Z", "quota": null}"#
    CreatedToken r#"{"token": "emcp_0", "id": "01980000-0000-7000-8000-000000000001", "name": "ada", "role": "developer", "servers": null,
        "usable_in_url": false, "created_at": "2026-01-02T03:04:05Z", "created_by": "administrator", "expires_at": null,
        "last_used_at": "2026-01-02T03:04:05.000006Z", "quota": {"memory_bytes": 9007199254740991}}"#
    EnvList r#"{"env": [{"key": "A", "value": "1", "is_secret": false}, {"key": "B", "value": "********", "is_secret": true}]}"#
    EnvUpdate r#"{"env": [{"key": "A", "value": "1", "is_secret": false}, {"key": "B", "is_secret": true}]}"#
    ErrorBody r#"{"error": {"code": "too_large", "message": "x", "field": "file", "args": {"limit": "5"}, "request_id": "0198"}}"#
    EventList r#"{"events": [
        {"at": "2026-01-02T03:04:05Z", "kind": "code", "message": "version 2 uploaded", "code": "code_uploaded", "args": {"version": 2}, "actor": "ada"},
        {"at": "2026-01-02T03:04:05Z", "kind": "created", "message": "created", "code": "created"}
    ]}"#
    FileBytes "[109, 99, 112]"
    Invocation r#"{"name": "add", "arguments": {"a": 1, "b": [null, "x"]}}"#
    Liveness r#"{"status": "ok", "version": "0.1.0"}"#
    LogPage r#"{"records": [{"ts": "2026-01-02T03:04:05Z", "stream": "emcp", "line": "--- run ---", "seq": 9}],
        "next": 9, "oldest": {"seq": 1, "ts": "2026-01-02T03:04:05Z"}}"#
    NameView r#"{"name": "gate", "available": false, "code": "reserved_name", "message": "x"}"#
    OverviewView r#"{"total": 2, "by_status": {"running": 1, "error": 1},
        "notices": [{"code": "disk_low", "message": "x", "args": {"free_bytes": 5}}, {"code": "y", "message": "z"}],
        "disk": {"free_bytes": 5, "total_bytes": 9},
        "usage": {"at": "2026-01-02T03:04:05Z", "cpu_cores": 0.25, "memory_bytes": 5, "memory_limit_bytes": 9},
        "history": [{"at": "2026-01-02T03:04:05Z", "cpu_cores": 1.5, "memory_bytes": 5, "memory_limit_bytes": 9}],
        "attention": [{"server": {"id": "01980000-0000-7000-8000-000000000000", "name": "demo"}, "status": "error", "code": "failed",
            "reason": "held", "reason_code": "held", "since": "2026-01-02T03:04:05Z"}],
        "recent_events": [{"server": {"id": "01980000-0000-7000-8000-000000000000", "name": "demo"}, "at": "2026-01-02T03:04:05Z",
            "kind": "created", "message": "created", "code": "created", "actor": "ada"}]}"#
    PatchServer r#"{"description": "x", "entry_object": "app", "runtime": "auto", "args": [], "storage": {"size_bytes": 16777216}, "egress": "open",
        "pass_headers": [], "limits": {"memory_bytes": 67108864, "cpus": 0.5, "pids": 64}, "sleep": {"pause_after_secs": 600, "stop_after_secs": null},
        "hold": true, "members": ["grace"]}"#
    PeopleView r#"{"people": [{"name": "ada", "exempt": false, "servers": {"used": 1, "limit": 20}, "memory_bytes": {"used": 2, "limit": null},
        "stored_bytes": {"used": 3, "limit": 4}, "tokens": {"used": 0, "limit": 4}, "writes": {"used": 1, "limit_per_minute": 60}}],
        "maxima": {"memory_bytes": 1, "cpus": 2.5, "pids": 3, "storage_bytes": 4},
        "quota": {"servers": 1, "memory_bytes": 2, "stored_bytes": 3, "tokens": 4, "writes_per_minute": 5}}"#
    PromptView r#"{"description": "x", "messages": [{"role": "user"}], "duration_ms": 1.5}"#
    ReadView r#"{"contents": [{"uri": "x://y"}], "duration_ms": 1.5}"#
    ResourceRef r#"{"uri": "x://y"}"#
    ServerList r#"{"servers": [], "total": 0}"#
    ServerView r#"{"id": "01980000-0000-7000-8000-000000000000", "name": "demo", "description": "x", "entry_object": "mcp", "runtime": "auto",
        "args": ["--rows"], "storage": {"size_bytes": 16777216}, "egress": "none", "pass_headers": ["Authorization"],
        "limits": {"memory_bytes": 536870912, "cpus": 1.5, "pids": 128}, "sleep": "never", "hold": false, "members": ["grace"],
        "limits_given": {"memory_bytes": 67108864, "cpus": 0.25, "pids": 16}, "creator": "ada", "desired": "running",
        "sleeps_after": {"pause_after_secs": 600, "stop_after_secs": null}, "rest": "awake", "settled": true, "status": "running",
        "reason": "out of memory", "reason_code": "failed", "reason_args": {"code": "x", "message": "y"}, "since": "2026-01-02T03:04:05Z",
        "address": "198.18.1.0:8000", "container_id": null, "exit_code": -1,
        "last_error": {"code": "out_of_memory", "message": "x", "args": {"limit_bytes": 5}, "line": 3, "log_tail": ["a"], "at": "2026-01-02T03:04:05Z"},
        "restarts": 2, "started_at": "2026-01-02T03:04:05Z", "retry_at": null, "version": 3, "restart_needed": true,
        "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05.000006Z", "urls": {"sse": "https://h/api/demo/sse"},
        "etags": {"settings": "\"a\"", "code": "\"b\"", "env": "\"c\""}, "permissions": ["inspect", "issue_tokens"]}"#
    SessionView r#"{"signed_in": true, "name": "ada", "role": "developer", "permissions": ["read", "create_servers"],
        "token_roles": ["connect"], "ends_at": "2026-01-02T03:04:05Z"}"#
    SettingsView r#"{"version": "0.1.0", "public_url": "https://h/", "servers_url": null, "certificate": "local_ca", "instance": "emcp",
        "data_dir": "/data", "data_dir_free_bytes": 5, "min_free_bytes": 6, "network": "emcp", "subnet": "198.18.0.0/17",
        "internal_subnet": "198.18.128.0/17", "firewall": {"state": "closed", "message": "x"}, "base_image": "x",
        "default_limits": {"memory_bytes": 1, "cpus": 0.5, "pids": 3},
        "maxima": {"memory_bytes": 1, "cpus": 2.5, "pids": 3, "storage_bytes": 4},
        "quota": {"servers": 1, "memory_bytes": 2, "stored_bytes": 3, "tokens": 4, "writes_per_minute": 5},
        "versions_kept": 20, "versions_kept_days": 30, "audit_max_entries": 1, "audit_syslog": null, "metrics_public": false, "max_code_bytes": 2,
        "start_timeout_secs": 60, "stop_grace_secs": 10, "liveness_interval_secs": 30, "unresponsive_restart_secs": 0,
        "sleep": {"pause_after_secs": 600, "stop_after_secs": null}, "requests_per_address": 64, "allowed_origins": ["https://h"],
        "traefik_in_service": true, "engine": {"version": "29", "os": "x", "cpus": 2, "memory_bytes": 3}}"#
    SignIn r#"{"token": "emcp_0"}"#
    TemplateList r#"{"templates": [{"id": "a", "title": "A", "description": "x", "entry_object": "mcp", "code": "mcp = None\n"}]}"#
    TokenList r#"{"tokens": [{"id": "01980000-0000-7000-8000-000000000001", "name": "ada", "role": "connect",
        "servers": ["01980000-0000-7000-8000-000000000000"], "usable_in_url": true, "created_at": "2026-01-02T03:04:05Z",
        "created_by": "x", "expires_at": null, "last_used_at": null, "quota": {}}]}"#
    TokenView r#"{"id": "01980000-0000-7000-8000-000000000001", "name": "ada", "role": "viewer", "servers": null, "usable_in_url": false,
        "created_at": "2026-01-02T03:04:05Z", "created_by": "x", "expires_at": "2026-01-02T03:04:05Z", "last_used_at": null, "quota": {}}"#
    ToolResultView r#"{"is_error": true, "content": [{"type": "text"}], "structured_content": {"a": 1}, "duration_ms": 1.5}"#
    ToolsView r#"{"server": {"name": "x", "version": "1"}, "protocol_version": "2025-11-25", "instructions": "x",
        "tools": [{"name": "add", "inputSchema": {}}], "resources": [], "resource_templates": [], "prompts": [{"name": "p"}],
        "truncated": [{"list": "tools", "code": "too_large"}]}"#
    VersionList r#"{"versions": [{"number": 1, "sha256": "0", "size_bytes": 5, "uploaded_by": "ada", "uploaded_at": "2026-01-02T03:04:05Z",
        "last_in_use_at": "2026-01-02T03:04:05Z"}]}"#
};

/// Messages of streams, and what the internal listener answers.
#[rustfmt::skip]
const UNDESCRIBED: &[Sample] = samples! {
    LogLine r#"{"ts": "2026-01-02T03:04:05Z", "stream": "emcp", "line": "--- 3 lines skipped ---", "seq": 9, "skipped": 3}"#
    LogLine r#"{"ts": "2026-01-02T03:04:05Z", "stream": "stdout", "line": "x", "seq": 10}"#
    ReadinessView r#"{"ready": false, "checks": {"store": "ok", "broker": "x", "docker": "y", "traefik": "ok"},
        "firewall": {"state": "closed", "message": "x"}, "notices": [{"code": "y", "message": "z"}], "disk": {"free_bytes": 5, "total_bytes": 9}}"#
    ReadinessView r#"{"ready": true, "checks": {"store": "ok", "docker": "ok", "traefik": "ok"},
        "firewall": {"state": "off", "message": "x"}, "notices": [], "disk": null}"#
    ServerNews r#"{"servers": []}"#
    ServerNews r#"{"servers": [], "removed": ["01980000-0000-7000-8000-000000000000"]}"#
};

#[test]
fn every_document_comes_back_as_it_was() {
    for (_, round_trip, text) in SAMPLES.iter().chain(UNDESCRIBED) {
        round_trip(text);
    }
}

#[test]
fn every_document_of_the_description_has_a_sample() {
    let description = include_str!("../../docs/openapi.json");
    let description: Value = serde_json::from_str(description).unwrap();
    let mut whole = BTreeSet::new();
    references(&description["paths"], &mut whole);
    // What stands in a parameter is no document.
    whole.remove("Status");
    let sampled = SAMPLES.iter().map(|(name, ..)| (*name).to_owned());
    assert_eq!(whole, sampled.collect());
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
                found.extend(reference.rsplit('/').next().map(str::to_owned));
            }
            fields.values().for_each(|field| references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}
