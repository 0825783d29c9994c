//! Says what is wrong with a file before it is started. The Python that would
//! run it reads it, in a container of its own without network; nothing of it is
//! run.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::CodeUpload;
use super::code::CodeFiles;
use super::parts::Parts;
use crate::access::CanRead;
use crate::api::{CheckView, Severity};
use crate::model::{EntryObject, Error, Result, RuntimeChoice};
use crate::runtime::{CHECK, OneShot, Runtime, RuntimeError};

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

/// Checks files.
pub struct Checks {
    files: CodeFiles,
    runtime: Arc<dyn Runtime>,
    base_image: String,
}

impl Checks {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            files: CodeFiles::of(parts),
            runtime: Arc::clone(&parts.runtime),
            base_image: parts.settings.base_image.clone(),
        }
    }

    /// Checks a file.
    ///
    /// # Errors
    /// `image_missing`, or if Docker or the disk fails.
    pub async fn check_code(&self, _: &CanRead, check: CheckCode) -> Result<CheckView> {
        let _place = PLACES
            .acquire()
            .await
            .map_err(|error| Error::internal("no place for a check", error))?;
        // It goes when nobody uses it any more, however the check ends: no
        // release has it, unless the same was uploaded once.
        let bundle = self.files.write(check.code).await?;
        let source = bundle.source();
        let shot = OneShot {
            image: &self.base_image,
            command: CHECK,
            env: vec![
                format!("EMCP_ENTRY_OBJECT={}", check.entry_object.as_str()),
                format!("EMCP_RUNTIME={}", check.runtime.as_str()),
            ],
            bundle: Some(&source),
            endpoint: None,
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
