//! The words of the product as types that cannot hold a bad value.
//!
//! Pure: names no runtime, store, web or Docker crate. Everything here takes
//! values and returns values.

mod address;
mod args;
mod audit;
mod bundle;
mod container;
mod description;
mod env;
mod error;
mod fault;
mod finding;
mod history;
mod instance;
mod log;
mod name;
mod notice;
mod object;
mod pass_headers;
mod permission;
mod principal;
mod quota;
mod reason;
mod release;
mod retention;
mod seen;
mod sentence;
mod server;
mod server_settings;
mod serves;
mod sleep;
mod source;
mod state;
mod storage;
mod token;
mod weight;

pub use address::{AddressPool, LeasedAddress, ServerNetworks, SubnetError};
pub use args::Args;
pub use audit::{AuditEntry, AuditFilter, AuditRecord, AuditResult};
pub use bundle::{Bundle, BundleDigest, BundlePath, Manifest, NotABundle};
pub use container::ContainerId;
pub use description::Description;
pub use env::{
    ENV_VALUE_MAX_BYTES, EnvKey, EnvVarInput, EnvVarView, RawEnvVar, SECRET_MASK, parse_env_json,
};
pub use error::{Error, Result};
pub use fault::{Fault, KnownFault};
pub use finding::Finding;
pub use history::{Deed, Event, Happening};
pub use instance::{Instance, InstanceId, InstanceRole, Instances, Placement};
pub use log::{LogRecord, LogSource};
pub use name::{EntryObject, RESERVED_NAMES, ServerName};
pub use notice::KnownNotice;
pub use object::{object, object_or_null};
pub use pass_headers::{PassHeaders, invalid as invalid_pass_headers};
pub use permission::{PlatformPermission, ServerPermission};
pub use principal::{KnownPrincipal, Origin, Principal, PrincipalId};
pub use quota::{Holdings, Maxima, OwnQuota, Quota};
pub use reason::Reason;
pub use release::Release;
pub use retention::Retention;
pub use seen::{Etags, Seen, Tag};
pub use sentence::SentenceArgs;
pub use server::{Desired, Egress, Limits, LimitsPatch, RuntimeChoice, Server, ServerId};
pub use server_settings::{
    Change, CreateServerBody, Effect, Part, PatchServer, ServerSettings, fill_once,
};
pub use serves::Serves;
pub use sleep::{InWords, Never, SleepAfter, SleepChoice, SleepDepth};
pub use source::{decode_source, encode_source};
pub use state::{Failure, RunState, Status};
pub use storage::Storage;
pub use token::{
    ADMINISTRATOR, CONNECTION_TEST, Grant, PLATFORM, Role, Token, TokenId, TokenSecret,
    check_new_token_name, check_person, free_token_name,
};
pub use weight::json_weight_bytes;
