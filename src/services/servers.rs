//! Servers: create, change, act, delete. A call writes what is wanted in one
//! transaction, wakes the reconciler, and answers.

mod delete;
mod members;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::changes::{Changes, event};
use super::code::CodeFiles;
use super::parts::Parts;
use super::presenter::Presenter;
use super::quotas::Allowances;
use super::storage::check_room;
use super::token_changes::TokenChanges;
use super::waiting::{Look, Patience, Purpose, Waited, Waiting};
use super::{CodeUpload, env};
use crate::access::{CanCreate, CanRead, CanWrite, TokenTable};
use crate::api::{Action, EventView, ServerView};
use crate::bounds::Bounds;
use crate::directory::{Directory, Entry};
use crate::identity::Layout;
use crate::model::{
    AddressPool, Deed, Desired, EnvVarInput, Error, Event, Instances, PassHeaders, PatchServer,
    Result, RunState, Seen, Server, ServerId, ServerName, ServerSettings, Status,
    invalid_pass_headers,
};
use crate::reconcile::Waker;
use crate::store::{NewRelease, NewServer, ServerChange, Store};
use crate::traefik::passes_never;
use crate::vault::{Place, Vault, random_bytes};

/// What a new server is made from.
pub struct CreateServer {
    /// Its name.
    pub name: ServerName,
    /// What is set of it, where that is not the default.
    pub settings: PatchServer,
    /// Its code.
    pub code: CodeUpload,
    /// Its variables.
    pub env: Vec<EnvVarInput>,
    /// Whether to start it at once.
    pub start: bool,
}

/// What a list is narrowed to.
#[derive(Debug, Default)]
pub struct ServerFilter {
    /// Part of the name or description, in any case.
    pub text: Option<String>,
    /// One status.
    pub status: Option<Status>,
}

/// The servers, as wanted and as observed.
pub struct Servers {
    directory: Arc<Directory>,
    store: Store,
    vault: Arc<Vault>,
    layout: Layout,
    files: CodeFiles,
    waker: Arc<Waker>,
    waiting: Arc<Waiting>,
    /// The tokens there are, which make people known.
    tokens: Arc<TokenTable>,
    token_changes: Arc<TokenChanges>,
    bounds: Arc<Bounds>,
    allowances: Allowances,
    /// Where addresses come from.
    addresses: AddressPool,
    changes: Changes,
    presenter: Presenter,
    closing: CancellationToken,
}

impl Servers {
    pub(super) fn of(parts: &Parts) -> Self {
        Self {
            directory: Arc::clone(&parts.directory),
            store: parts.store.clone(),
            vault: Arc::clone(&parts.vault),
            layout: parts.layout.clone(),
            files: CodeFiles::of(parts),
            waker: Arc::clone(&parts.waker),
            waiting: Arc::clone(&parts.waiting),
            tokens: Arc::clone(&parts.tokens),
            token_changes: Arc::clone(&parts.token_changes),
            bounds: Arc::clone(&parts.bounds),
            allowances: Allowances::of(parts),
            addresses: parts.settings.networks.open(),
            changes: Changes::of(parts),
            presenter: Presenter::of(parts),
            closing: parts.endings.closing.clone(),
        }
    }

    /// The servers that fit, by age, and how many there are in all.
    pub fn list(&self, permit: &CanRead, filter: &ServerFilter) -> Vec<ServerView> {
        let text = filter.text.as_ref().map(|text| text.to_lowercase());
        self.directory
            .list()
            .iter()
            .filter(|entry| {
                filter
                    .status
                    .is_none_or(|status| entry.state.status == status)
            })
            .filter(|entry| {
                text.as_ref().is_none_or(|text| {
                    entry.server.name.as_str().contains(text.as_str())
                        || entry
                            .server
                            .settings
                            .description
                            .as_str()
                            .to_lowercase()
                            .contains(text.as_str())
                })
            })
            .map(|entry| self.presenter.view(entry, permit.caller()))
            .collect()
    }

    /// One server.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn get(&self, permit: &CanRead, id_or_name: &str) -> Result<ServerView> {
        Ok(self
            .presenter
            .view(&self.directory.require(id_or_name)?, permit.caller()))
    }

    /// Creates a server. Either all of it is there afterwards, or nothing.
    ///
    /// # Errors
    /// `name_like_id`, `name_taken`, `address_pool_full`, the code of the setting
    /// that is wrong, a quota's code, or a full disk.
    pub async fn create(&self, permit: &CanCreate, new: CreateServer) -> Result<ServerView> {
        new.name.check_new()?;
        let settings = ServerSettings::of_new(new.settings, &self.bounds.maxima())?;
        let nothing = ServerSettings::default();
        self.check_settings(&settings, &nothing).await?;
        if let Some(taken) = self.directory.find(new.name.as_str()) {
            // The store decides; this spares writing a file for nothing.
            return Err(Error::name_taken(&taken.server.name));
        }
        let now = Timestamp::now();
        let id = ServerId::new();
        let gateway_key = hex::encode(random_bytes::<32>()?);
        let env = env::seal_all(&self.vault, id, new.env, &[])?;
        let server = Server {
            settings,
            desired: if new.start {
                Desired::Running
            } else {
                Desired::Stopped
            },
            ..Server::new(id, new.name, permit.actor().clone(), now)
        };
        let state = RunState {
            generation: u64::from(!new.start),
            ..RunState::never_ran(now)
        };
        let release = new.code.release(1, permit.actor().clone(), now);
        let bundle = self.files.write(new.code).await?;
        let record = NewServer {
            release: NewRelease { release, bundle },
            env,
            gateway_key: self.vault.seal(Place::GatewayKey(id), &gateway_key)?,
            state,
            event: Event::of_deed(now, Deed::Created, permit.actor()),
            server,
        };
        let pool = self.addresses;
        let allowance = self
            .allowances
            .of_person(permit.actor(), permit.is_exempt());
        let inserted = self.store.insert_server(record, pool, allowance).await;
        let (server, instance) = inserted?;
        let key = SecretString::from(gateway_key);
        let entry = Entry::new(server, Instances::only(instance), key);
        self.directory.insert(entry.clone());
        self.waker.wake(id);
        Ok(self.presenter.view(&entry, permit.caller()))
    }

    /// Changes what needs no new code.
    ///
    /// # Errors
    /// `server_not_found`, `precondition_failed`, or the code of the field that
    /// is wrong.
    pub async fn patch(
        &self,
        permit: &CanWrite,
        seen: Seen,
        sent: PatchServer,
    ) -> Result<ServerView> {
        let members = match &sent.members {
            Some(names) => Some(self.find_members(&permit.to_share()?, names)?),
            None => None,
        };
        let maxima = self.bounds.maxima();
        let server = self.directory.require(&permit.server().to_string())?.server;
        let wanted = server.settings.with(sent.clone(), &maxima)?;
        self.check_settings(&wanted, &server.settings).await?;
        let event = event(Deed::SettingsChanged, permit);
        self.changes
            .make(permit, move |server| {
                seen.require(&server.etags().settings)?;
                server.set(server.settings.with(sent, &maxima)?)?;
                if let Some(members) = members {
                    server.members = members;
                }
                Ok(ServerChange::of_record(event))
            })
            .await
    }

    /// Checks what other rooms know of changed settings, before anything is
    /// written.
    ///
    /// # Errors
    /// `invalid_pass_headers` or `disk_full`.
    async fn check_settings(&self, wanted: &ServerSettings, before: &ServerSettings) -> Result<()> {
        if wanted.pass_headers != before.pass_headers {
            check_passed(&wanted.pass_headers)?;
        }
        check_room(&self.layout, wanted.storage, before.storage).await
    }

    /// Asks for a start, stop or restart. What is so already is left alone.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn act(&self, permit: &CanWrite, action: Action) -> Result<ServerView> {
        let id = permit.server();
        let entry = self.directory.require(&id.to_string())?;
        let is_up = entry.server.desired == Desired::Running
            && !(entry.state.status == Status::Error
                && entry.state.generation == entry.server.generation);
        let is_asleep = is_up && entry.state.status == Status::Sleeping;
        if action == Action::Start && is_asleep {
            // The same wish, so the container that sleeps is the right one.
            let event = event(Deed::WakeAsked, permit);
            self.waker.want_awake(&entry);
            return self
                .changes
                .make(permit, |_| Ok(ServerChange::of_record(event)))
                .await;
        }
        let is_done = match action {
            Action::Start => is_up,
            Action::Stop => entry.server.desired == Desired::Stopped,
            Action::Restart => false,
        };
        if is_done {
            return Ok(self.presenter.view(&entry, permit.caller()));
        }
        let (desired, deed) = match action {
            Action::Start => (Desired::Running, Deed::StartAsked),
            Action::Stop => (Desired::Stopped, Deed::StopAsked),
            Action::Restart => (Desired::Running, Deed::RestartAsked),
        };
        let event = event(deed, permit);
        self.changes
            .make(permit, move |server| {
                server.desired = desired;
                server.generation += 1;
                Ok(ServerChange::of_record(event))
            })
            .await
    }

    /// Waits until a server has settled, or `patience` runs out, and shows it.
    ///
    /// # Errors
    /// `server_not_found` if it was deleted meanwhile.
    pub async fn settled(
        &self,
        permit: &CanRead,
        id: ServerId,
        patience: Duration,
    ) -> Result<ServerView> {
        let patience = Patience {
            deadline: Instant::now() + patience,
            // Of an EMCP that is to end, the answer is what it knows by then.
            ending: &self.closing,
            place_as: Some(Purpose::Watch),
        };
        let look = |entry: Option<&Entry>| match entry {
            None => Look::Done(Err(Error::no_server(&id.to_string()))),
            Some(entry) if is_settled(entry) => Look::Done(Ok(entry.clone())),
            Some(entry) => Look::Wait(entry.clone()),
        };
        let entry = match self.waiting.until(Some(id), patience, look).await {
            Waited::Done(settled) => settled?,
            Waited::Crowded(entry) | Waited::Over(entry) => entry,
        };
        Ok(self.presenter.view(&entry, permit.caller()))
    }

    /// A server's history, newest first.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn events(
        &self,
        _: &CanRead,
        id_or_name: &str,
        limit: usize,
    ) -> Result<Vec<EventView>> {
        let id = self.directory.require(id_or_name)?.server.id;
        let events = self.store.events_of(id, limit).await?;
        Ok(events.into_iter().map(EventView::from).collect())
    }

    /// Why a new server may not have this name, if so.
    pub fn problem_with_name(&self, _: &CanRead, name: &str) -> Option<Error> {
        let parsed: Result<ServerName> = name.parse();
        match parsed {
            Ok(wanted) => wanted.check_new().err().or_else(|| {
                let taken = self.directory.find(wanted.as_str());
                taken.map(|_| Error::name_taken(&wanted))
            }),
            Err(problem) => Some(problem),
        }
    }
}

/// Whether what was asked of a server last is done, or has failed.
fn is_settled(entry: &Entry) -> bool {
    let (server, state) = (&entry.server, &entry.state);
    let is_waking =
        state.status == Status::Sleeping && entry.activity.is_asked_for() && !server.settings.hold;
    state.is_settled(server.generation, server.desired) && !is_waking
}

/// Who is signed in at a proxy is never the client's to say.
fn check_passed(headers: &PassHeaders) -> Result<()> {
    match headers.names().iter().find(|name| passes_never(name)) {
        None => Ok(()),
        Some(name) => Err(invalid_pass_headers(&format!(
            "\"{name}\" tells who is signed in, and never passes as the client sent it"
        ))),
    }
}
