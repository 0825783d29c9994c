//! Data directories, as an operator and many callers at once meet them, on real
//! databases and files.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod audit;
mod backup;
mod damage;
mod maintenance;
mod quotas;
