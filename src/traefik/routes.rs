//! Keeps the provider's document in step with the directory.
//!
//! Level-triggered: one task, and no other, looks at the directory whenever that
//! has changed, and publishes what it finds. Were everybody who changes a server
//! to do so, one could publish what it had seen before another's change after
//! the other had published, and a route would be lost until the next change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::{Provider, RouteFacts, render};
use crate::directory::{Directory, Entry};
use crate::identity::ServedCertificate;
use crate::model::{Placement, Result, Server, ServerId};

/// What is known of the routes: which servers have theirs, and with which
/// revision of the document they got it.
pub struct Routes {
    provider: Arc<Provider>,
    facts: watch::Sender<RouteFacts>,
    published: watch::Receiver<Published>,
}

/// The only one who renders and publishes.
pub struct Publisher {
    directory: Arc<Directory>,
    provider: Arc<Provider>,
    facts: watch::Receiver<RouteFacts>,
    published: watch::Sender<Published>,
}

/// The servers of the document that was published last.
#[derive(Default)]
struct Published(HashMap<ServerId, Routed>);

/// A server in the document.
struct Routed {
    /// The record that its route was rendered from. Records are replaced, never
    /// changed, so that the same pointer is the same content.
    record: Arc<Server>,
    /// Where the instance that serves it was.
    place: Placement,
    /// Every revision from this one on has a route as these say.
    since: u64,
}

impl Routes {
    /// Routes of the directory's servers, published once already. They stay as
    /// they are until [`Publisher::run`] runs.
    ///
    /// # Errors
    /// If they cannot be rendered.
    pub fn new(
        directory: Arc<Directory>,
        provider: Arc<Provider>,
        facts: RouteFacts,
    ) -> Result<(Self, Publisher)> {
        let (facts, facts_seen) = watch::channel(facts);
        let (published_sender, published) = watch::channel(Published::default());
        let publisher = Publisher {
            directory,
            provider: Arc::clone(&provider),
            facts: facts_seen,
            published: published_sender,
        };
        publisher.publish()?;
        let routes = Self {
            provider,
            facts,
            published,
        };
        Ok((routes, publisher))
    }

    /// Serves another certificate from now on.
    pub fn use_certificate(&self, certificate: ServedCertificate) {
        self.facts
            .send_modify(|facts| facts.certificate = Some(certificate));
    }

    /// Whether Traefik routes this server as its record says, to the instance that
    /// serves it.
    pub fn is_routed(&self, entry: &Entry) -> bool {
        let since = self.published.borrow().since(entry);
        since.is_some_and(|revision| self.provider.is_in_effect(revision))
    }

    /// Waits until Traefik routes this server as its record says, to the instance
    /// that serves it, or `patience` runs out. Tells which.
    pub async fn wait_routed(&self, entry: &Entry, patience: Duration) -> bool {
        let mut published = self.published.clone();
        let routed = async {
            let is_in_document = |published: &Published| published.since(entry).is_some();
            let since = match published.wait_for(is_in_document).await {
                Ok(published) => published.since(entry),
                Err(_) => None,
            };
            match since {
                Some(revision) => self.provider.wait_in_effect(revision).await,
                None => false,
            }
        };
        tokio::time::timeout(patience, routed)
            .await
            .unwrap_or(false)
    }
}

impl Publisher {
    /// Publishes every change of the directory and of the certificate, until it
    /// is dropped. Changes that come while one is being rendered are rendered
    /// together.
    pub async fn run(self) {
        let (mut servers, mut facts) = (self.directory.subscribe(), self.facts.clone());
        loop {
            // Before the look: what changes during it is looked at once more.
            servers.mark_unchanged();
            facts.mark_unchanged();
            if let Err(error) = self.publish() {
                tracing::error!(%error, "the routes could not be rendered; the last ones stay");
            }
            let changed = tokio::select! {
                changed = self.until_other_servers(&mut servers) => changed,
                changed = facts.changed() => changed,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// Waits until the directory's servers, or where their instances are, are
    /// others than those published: what is observed of servers changes far more
    /// often, and no route.
    async fn until_other_servers(
        &self,
        servers: &mut watch::Receiver<u64>,
    ) -> std::result::Result<(), watch::error::RecvError> {
        loop {
            servers.changed().await?;
            if !self.published.borrow().is_of(&self.directory) {
                return Ok(());
            }
        }
    }

    fn publish(&self) -> Result<()> {
        let entries = self.directory.list();
        let routes = entries.iter().map(|entry| (&*entry.server, entry.place()));
        let rendered = render(routes, &self.facts.borrow())?;
        let revision = self.provider.publish(rendered);
        self.published
            .send_modify(|published| published.advance(entries, revision));
        Ok(())
    }
}

impl Published {
    /// From which revision on the document has a route as this says.
    fn since(&self, entry: &Entry) -> Option<u64> {
        let routed = self.0.get(&entry.server.id)?;
        let is_so = Arc::ptr_eq(&routed.record, &entry.server) && routed.place == entry.place();
        is_so.then_some(routed.since)
    }

    fn is_of(&self, directory: &Directory) -> bool {
        let now = directory.list();
        now.len() == self.0.len() && now.iter().all(|entry| self.since(entry).is_some())
    }

    /// A new record counts from this revision on, although its route may be
    /// that of the one before: later than necessary is never too early.
    fn advance(&mut self, entries: Vec<Entry>, revision: u64) {
        let before = std::mem::take(self);
        self.0 = entries
            .into_iter()
            .map(|entry| {
                let routed = Routed {
                    since: before.since(&entry).unwrap_or(revision),
                    place: entry.place(),
                    record: entry.server,
                };
                (routed.record.id, routed)
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use jiff::Timestamp;
    use serde_json::Value;
    use tokio::task::JoinSet;
    use tokio::time::timeout;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::model::{AddressPool, Egress, Principal, RunState, ServerNetworks};
    use crate::traefik::{ConnectionId, Fingerprint, Poll};

    const CALLERS: u64 = 24;
    /// What each does: 504 in all.
    const DEEDS: u64 = 21;
    /// Far more than anything here takes.
    const PATIENCE: Duration = Duration::from_secs(60);

    fn facts() -> RouteFacts {
        let open = AddressPool::parse("198.18.0.0/22").unwrap();
        RouteFacts {
            networks: ServerNetworks::new(open, open.twin().unwrap()).unwrap(),
            internal_url: "http://emcp:8081".into(),
            upstream_url: "http://emcp:8080".into(),
            certificate: None,
            cert_resolver: None,
            requests_per_address: 512,
            allowed_origins: Vec::new(),
            traefik_address: ([127, 0, 0, 1], 80).into(),
            public_host: "localhost".into(),
            servers_host: None,
            serves_metrics: false,
        }
    }

    fn entry(name: &str, address: u8) -> Entry {
        let server = Server::new(
            ServerId::new(),
            name.parse().unwrap(),
            Principal::by_name("ann"),
            Timestamp::now(),
        );
        let state = RunState::never_ran(Timestamp::UNIX_EPOCH);
        Entry::of_test(server, state, [198, 18, 1, address])
    }

    /// What a Traefik that routes by this document tells.
    fn told_by(document: &Value) -> Fingerprint {
        let path = &document["http"]["middlewares"]["emcp-in-effect"]["replacePath"]["path"];
        let told = path.as_str().unwrap().rsplit('/').next().unwrap();
        Fingerprint::told(told.to_owned())
    }

    /// Stands for Traefik: polls, routes by what it was given, and tells so. Now
    /// and then it connects anew.
    struct Polling(Mutex<Arc<Value>>);

    impl Polling {
        async fn run(&self, provider: &Provider) {
            let (closing, answered) = (CancellationToken::new(), CancellationToken::new());
            answered.cancel();
            for poll in 0.. {
                let answer = provider.poll(ConnectionId(poll / 50), &closing).await;
                let Poll::Document(document) = answer else {
                    panic!("there is a document from the beginning");
                };
                let document: Value = serde_json::from_slice(&document).unwrap();
                let told = told_by(&document);
                *self.0.lock().unwrap() = Arc::new(document);
                provider.see_in_effect(&told, &answered).await;
            }
        }

        /// Where the document that is held leads for this server.
        fn leads_to(&self, id: ServerId) -> Option<String> {
            let held = Arc::clone(&self.0.lock().unwrap());
            let service = &held["http"]["services"][format!("server-{id}")];
            let url = service["loadBalancer"]["servers"][0]["url"].as_str()?;
            Some(url.to_owned())
        }
    }

    async fn fetched(provider: &Provider, connection: ConnectionId) -> Value {
        let open = CancellationToken::new();
        let Poll::Document(document) = provider.poll(connection, &open).await else {
            panic!("there is a document");
        };
        serde_json::from_slice(&document).unwrap()
    }

    /// A caller with servers of its own, and what the reconciler does for them:
    /// it calls a server running once its route is there.
    async fn work(
        number: u64,
        directory: Arc<Directory>,
        routes: Arc<Routes>,
        traefik: Arc<Polling>,
    ) {
        let mut chance = number;
        let mut own = Vec::new();
        for deed in 0..DEEDS {
            // Knuth's numbers (TAOCP vol. 2, 3.3.4); the high bits are good.
            chance = chance
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let choice = usize::try_from(chance >> 33).unwrap();
            let id = match choice % 4 {
                0 | 1 => {
                    let new = entry(&format!("caller-{number}-{deed}"), number as u8);
                    let id = new.server.id;
                    directory.insert(new);
                    own.push(id);
                    id
                }
                2 if !own.is_empty() => {
                    directory.remove(own.swap_remove(choice % own.len()));
                    continue;
                }
                _ if !own.is_empty() => {
                    let id = own[choice % own.len()];
                    let before = directory.get(id).unwrap();
                    let mut server = Server::clone(&before.server);
                    server.settings.egress = match server.settings.egress {
                        Egress::Open => Egress::None,
                        Egress::None => Egress::Open,
                    };
                    server.revision += 1;
                    let next = before.instances.shown().successor(&server);
                    directory.put_server(server);
                    directory.put_instance(next);
                    id
                }
                _ => continue,
            };
            let entry = directory.get(id).unwrap();
            assert!(routes.wait_routed(&entry, PATIENCE).await);
            assert!(routes.is_routed(&entry));
            let there = entry.endpoint(&facts().networks).url_for_traefik();
            assert_eq!(traefik.leads_to(id), Some(there), "caller {number}, {deed}");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn no_route_is_lost_and_none_is_promised_too_early() {
        let (directory, provider) = (Arc::new(Directory::new(vec![])), Arc::default());
        let made = Routes::new(Arc::clone(&directory), Arc::clone(&provider), facts());
        let (routes, publisher) = made.unwrap();
        let (routes, traefik) = (Arc::new(routes), Arc::new(Polling(Mutex::default())));
        let mut standing = JoinSet::new();
        standing.spawn(publisher.run());
        let polling = Arc::clone(&traefik);
        standing.spawn(async move { polling.run(&provider).await });

        let mut callers = JoinSet::new();
        for number in 1..=CALLERS {
            let (directory, routes) = (Arc::clone(&directory), Arc::clone(&routes));
            callers.spawn(work(number, directory, routes, Arc::clone(&traefik)));
        }
        while let Some(ended) = timeout(PATIENCE, callers.join_next()).await.unwrap() {
            ended.unwrap();
        }

        let left = directory.list();
        assert!(left.len() > 100, "{} servers are too few", left.len());
        let expected = left.iter().map(|entry| (&*entry.server, entry.place()));
        let rendered = render(expected, &facts()).unwrap();
        let expected: Value = serde_json::from_slice(&rendered.body).unwrap();
        let settled = async {
            while **traefik.0.lock().unwrap() != expected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let in_time = timeout(PATIENCE, settled).await;
        in_time.expect("the document is not that of the directory");
    }

    #[tokio::test]
    async fn a_change_of_the_certificate_and_no_change_of_a_state_is_published() {
        let demo = entry("demo", 1);
        let (id, before) = (demo.server.id, demo.clone());
        let (directory, provider) = (Arc::new(Directory::new(vec![demo])), Arc::default());
        let made = Routes::new(Arc::clone(&directory), Arc::clone(&provider), facts());
        let (routes, publisher) = made.unwrap();
        let _publishing = {
            let mut tasks = JoinSet::new();
            tasks.spawn(publisher.run());
            tasks
        };
        let (connection, open) = (ConnectionId(1), CancellationToken::new());
        provider.poll(connection, &open).await;
        // Its route is in the first document; Traefik has not said that it
        // routes by that.
        assert!(!routes.is_routed(&before));
        directory.put_state(id, RunState::never_ran(Timestamp::now()));
        routes.use_certificate(ServedCertificate {
            cert_pem: "renewed".into(),
            key_pem: "key".into(),
        });
        let next = fetched(&provider, connection).await;
        assert!(next.to_string().contains("renewed"));
        let answered = CancellationToken::new();
        answered.cancel();
        provider.see_in_effect(&told_by(&next), &answered).await;
        assert!(routes.is_routed(&before));
        // Where it was before is not where it is routed.
        let mut moved = Server::clone(&before.server);
        moved.settings.egress = Egress::None;
        moved.revision += 1;
        directory.put_instance(before.instances.shown().successor(&moved));
        let moved = directory.get(id).unwrap();
        assert!(!routes.is_routed(&moved));
        let (is_routed, ()) = tokio::join!(routes.wait_routed(&moved, PATIENCE), async {
            let next = fetched(&provider, connection).await;
            provider.see_in_effect(&told_by(&next), &answered).await;
        });
        assert!(is_routed);
        assert!(!routes.is_routed(&before));
    }
}
