//! Does the firewall hold? EMCP cannot install it from its container, and a
//! note that somebody installed it would say nothing of what holds now. So it
//! tries: a container in a server's place tells what it reached.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use serde::Deserialize;

use super::parts::Parts;
use crate::api::{Firewall, FirewallView, Notice};
use crate::model::{Egress, ServerNetworks};
use crate::runtime::{Endpoint, OneShot, REACH, Runtime};
use crate::store::Store;

/// Rules go with a reboot, or when another tool rewrites the firewall.
const CLOSED_RECHECK: Duration = Duration::from_secs(60 * 60);
/// Who has just installed the rules wants to see that they hold.
const OPEN_RECHECK: Duration = Duration::from_secs(5 * 60);

/// From the start of the container to its answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a server can reach that it must not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reach {
    /// Ports of the host itself.
    host: bool,
    /// The address under which clouds give a machine its credentials.
    metadata: bool,
}

impl FirewallView {
    fn off() -> Self {
        Self {
            state: Firewall::Off,
            message: "EMCP_FIREWALL is off: what servers reach is not tried".to_owned(),
        }
    }

    fn untried() -> Self {
        Self {
            state: Firewall::Unknown,
            message: "what servers reach has not been tried yet".to_owned(),
        }
    }

    fn of(tried: Result<Reach, String>) -> Self {
        let found = match tried {
            Ok(Reach {
                host: false,
                metadata: false,
            }) => {
                return Self {
                    state: Firewall::Closed,
                    message: "servers reach neither the host's ports nor cloud metadata".to_owned(),
                };
            }
            Ok(Reach {
                host: true,
                metadata: false,
            }) => "servers can reach the host's own ports",
            Ok(Reach {
                host: false,
                metadata: true,
            }) => "servers can reach the cloud's metadata, and with it the machine's credentials",
            Ok(Reach {
                host: true,
                metadata: true,
            }) => {
                "servers can reach the host's own ports and the cloud's metadata, and with it the machine's credentials"
            }
            Err(why) => {
                return Self {
                    state: Firewall::Unknown,
                    message: format!("what servers reach could not be tried: {why}"),
                };
            }
        };
        Self {
            state: Firewall::Open,
            message: format!(
                "{found}; run `make up` or `scripts/firewall.sh install` as root on the host, or set EMCP_FIREWALL=off if that is meant to be"
            ),
        }
    }

    /// What the dashboard is to show of it, if anything.
    pub fn notice(&self) -> Option<Notice> {
        let code = match self.state {
            Firewall::Open => "firewall_open",
            Firewall::Unknown => "firewall_unknown",
            Firewall::Closed | Firewall::Off => return None,
        };
        Some(Notice {
            code: code.to_owned(),
            message: self.message.clone(),
            args: None,
        })
    }
}

/// The last finding.
pub(super) struct FirewallWatch(RwLock<FirewallView>);

impl FirewallWatch {
    /// Before the first try.
    pub(super) fn new(is_wanted: bool) -> Self {
        Self(RwLock::new(if is_wanted {
            FirewallView::untried()
        } else {
            FirewallView::off()
        }))
    }

    /// The last finding.
    pub(super) fn view(&self) -> FirewallView {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, view: FirewallView) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = view;
    }
}

/// Tries at once, and again from time to time.
pub(super) fn watch(parts: &Parts) {
    if !parts.settings.firewall {
        return;
    }
    let trying = Trying {
        store: parts.store.clone(),
        networks: parts.settings.networks,
        base_image: parts.settings.base_image.clone(),
        runtime: Arc::clone(&parts.runtime),
    };
    let task = try_for_ever(trying, Arc::clone(&parts.firewall));
    parts.endings.spawn(task);
}

/// Tries it from a server's place, whose address it leases.
struct Trying {
    store: Store,
    networks: ServerNetworks,
    base_image: String,
    runtime: Arc<dyn Runtime>,
}

async fn try_for_ever(trying: Trying, last: Arc<FirewallWatch>) {
    loop {
        let found = FirewallView::of(try_once(&trying).await);
        let state = found.state;
        if found != last.view() {
            match state {
                Firewall::Closed | Firewall::Off => tracing::info!("{}", found.message),
                Firewall::Open | Firewall::Unknown => tracing::warn!("{}", found.message),
            }
            last.put(found);
        }
        tokio::time::sleep(match state {
            Firewall::Closed | Firewall::Off => CLOSED_RECHECK,
            Firewall::Open | Firewall::Unknown => OPEN_RECHECK,
        })
        .await;
    }
}

async fn try_once(trying: &Trying) -> Result<Reach, String> {
    let networks = &trying.networks;
    let leased = trying
        .store
        .lease_for_job(networks.open(), Timestamp::now());
    let lease = leased.await.map_err(|error| error.to_string())?;
    let place = Endpoint::of(lease.address, Egress::Open, networks);
    let written = reach(trying, place).await;
    let ended = trying.store.end_job(lease, Timestamp::now()).await;
    if let Err(error) = ended {
        // It is given back at the next start.
        tracing::error!(%error, "an address that was tried could not be given back");
    }
    serde_json::from_str(&written?)
        .map_err(|_| "the container that tries the network said nothing of use".to_owned())
}

/// What a container in this place writes of what it reached.
async fn reach(trying: &Trying, endpoint: Endpoint) -> Result<String, String> {
    let shot = OneShot {
        image: &trying.base_image,
        command: REACH,
        env: Vec::new(),
        bundle: None,
        endpoint: Some(endpoint),
        patience: PATIENCE,
    };
    let run = trying.runtime.run_once(&shot).await;
    run.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(host: bool, metadata: bool) -> FirewallView {
        FirewallView::of(Ok(Reach { host, metadata }))
    }

    #[test]
    fn only_what_reached_nothing_counts_as_closed() {
        assert_eq!(found(false, false).state, Firewall::Closed);
        assert_eq!(found(false, false).notice(), None);
        for open in [found(true, false), found(false, true), found(true, true)] {
            assert_eq!(open.state, Firewall::Open);
            let notice = open.notice().unwrap();
            assert_eq!(notice.code, "firewall_open");
            assert!(notice.message.contains("scripts/firewall.sh install"));
        }
    }

    #[test]
    fn what_could_not_be_tried_is_told_and_not_taken_for_closed() {
        let view = FirewallView::of(Err("no image".to_owned()));
        assert_eq!(view.state, Firewall::Unknown);
        assert_eq!(view.notice().unwrap().code, "firewall_unknown");
        assert!(view.message.contains("no image"));
    }

    #[test]
    fn an_operator_who_wants_no_firewall_is_not_told_so_again_and_again() {
        let view = FirewallWatch::new(false).view();
        assert_eq!((view.state, view.notice()), (Firewall::Off, None));
    }
}
