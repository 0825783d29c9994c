//! Servers by name, made anew for each scrape: a server that is gone leaves no
//! series behind.

use std::collections::BTreeMap;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::book::Book;
use crate::model::Status;

/// So many servers are named, the oldest first; of the others only their number
/// is told.
pub const NAMED_MAX: usize = 1_000;

/// A name may have 40 characters; what is longer is no name.
const NAME_MAX_CHARS: usize = 64;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NamedLabels {
    server: String,
    status: &'static str,
}

/// The servers' names and statuses, oldest first. Where two have one name, as
/// for a moment when a name is taken again, the newer one counts: a series twice
/// would cost Prometheus the whole scrape.
pub(super) fn book_of<'a>(servers: impl Iterator<Item = (&'a str, Status)>) -> Book {
    let mut book = Book::default();
    let named: Family<NamedLabels, Gauge> = book.enter(
        "emcp_server_status",
        "1 for each server with its present status",
        Family::default(),
    );
    let unnamed: Gauge = book.enter(
        "emcp_servers_unnamed",
        "Servers that have no line of their own in emcp_server_status",
        Gauge::default(),
    );
    let mut status_of: BTreeMap<&str, Status> = BTreeMap::new();
    for (name, status) in servers {
        if status_of.contains_key(name) || status_of.len() < NAMED_MAX {
            status_of.insert(name, status);
        } else {
            unnamed.inc();
        }
    }
    for (name, status) in status_of {
        let labels = NamedLabels {
            server: name.chars().take(NAME_MAX_CHARS).collect(),
            status: status.as_str(),
        };
        named.get_or_create(&labels).set(1);
    }
    book
}
