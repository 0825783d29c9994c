//! Says what is wrong with a file before it is started. The Python that would
//! run it reads it, in a container of its own without network; nothing of it is
//! run.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::{App, CodeUpload};
use crate::access::CanRead;
use crate::model::{EntryObject, Error, Result, RuntimeChoice, ServerId};
use crate::runtime::{CHECK, OneShot, RuntimeError};

/// Normally it takes well under a second.
const PATIENCE: Duration = Duration::from_secs(20);
/// Checks at the same time; further ones wait.
static PLACES: Semaphore = Semaphore::const_new(2);

/// What is to be checked.
pub struct CheckCode {
    /// The file.
    pub code: CodeUpload,
    /// The object to be served.
    pub entry_object: EntryObject,
    /// Which Python environment.
    pub runtime: RuntimeChoice,
}

/// What was found.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckView {
    /// Whether nothing was found that keeps it from being served.
    #[serde(default)]
    pub ok: bool,
    /// Which Python environment it would be served by.
    pub runtime: Option<RuntimeChoice>,
    /// Names at the top level that are bound to a server.
    pub entry_objects: Vec<String>,
    /// In the order of the file.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong. Lines and columns count from 1.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// `syntax_error`, `no_entry`, `entry_not_found`, `module_not_available`.
    pub code: String,
    /// In words.
    pub message: String,
    /// What the words name; absent where they are Python's own, and from a base
    /// image of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub args: Option<Map<String, Value>>,
    /// Where it begins.
    pub line: Option<u32>,
    /// Where it begins.
    pub column: Option<u32>,
    /// Where it ends.
    pub end_line: Option<u32>,
    /// Where it ends: the column after the last one.
    pub end_column: Option<u32>,
}

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot be served.
    Error,
    /// It may fail.
    Warning,
}

impl App {
    /// Checks a file.
    ///
    /// # Errors
    /// `image_missing`, or if Docker or the disk fails.
    pub async fn check_code(&self, _: &CanRead, check: CheckCode) -> Result<CheckView> {
        let _place = PLACES
            .acquire()
            .await
            .map_err(|error| Error::internal("no place for a check", error))?;
        // Like the files of a server that does not come to be: should EMCP be
        // killed meanwhile, its next start removes them.
        let id = ServerId::new();
        let _folder = CheckFolder(self.layout.server_dir(id));
        let (files, _) = self.write_version(id, 0, check.code).await?;
        let code_dir = self.layout.code_dir(id, files.number());
        let shot = OneShot {
            image: &self.settings.base_image,
            command: CHECK,
            env: vec![
                format!("EMCP_ENTRY_OBJECT={}", check.entry_object.as_str()),
                format!("EMCP_RUNTIME={}", check.runtime.as_str()),
            ],
            code_dir: Some(&code_dir),
            address: None,
            patience: PATIENCE,
        };
        let written = self
            .runtime
            .run_once(&shot)
            .await
            .map_err(|error| match error {
                RuntimeError::Unreachable(_) => Error::Unavailable {
                    code: "docker_unavailable",
                    message: "Docker Engine does not answer; try again in a moment".to_owned(),
                },
                other => Error::internal("a check could not be made", other),
            })?;
        let mut view: CheckView = serde_json::from_str(&written)
            .map_err(|error| Error::internal("a check gave no result", error))?;
        view.ok = view
            .problems
            .iter()
            .all(|problem| problem.severity != Severity::Error);
        Ok(view)
    }
}

/// Goes with its content when the check is over, also when the caller hung up.
struct CheckFolder(PathBuf);

impl Drop for CheckFolder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, "a checked file remains until the next start");
        }
    }
}
