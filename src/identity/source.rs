//! What lies in the data directory, as the runtime is given it.

use std::path::{Path, PathBuf};

/// Where the code of a container comes from. Made by who lays out the data
/// directory (and by the broker, of its copies), and read by the runtime alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSource(PathBuf);

impl BundleSource {
    /// What lies in this directory.
    pub(crate) fn of_dir(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// What an engine is told, for the runtime.
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }
}

/// Where the disk of a container is: a directory that holds its image and nothing
/// else. Made and read as a [`BundleSource`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskSource(PathBuf);

impl DiskSource {
    /// The image in this directory.
    pub(crate) fn of_dir(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// What an engine is told, for the runtime.
    pub(crate) fn dir(&self) -> &Path {
        &self.0
    }
}
