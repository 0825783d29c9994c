//! Servers: create, change, act, delete. A call writes what is wanted in one
//! transaction, wakes the reconciler, and answers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::time::Instant;
use utoipa::ToSchema;

use super::{App, CodeUpload, ServerView, env};
use crate::access::{Caller, CanCreate, CanRead, CanWrite};
use crate::api::{Action, EventView};
use crate::directory::Entry;
use crate::logs::ServerLog;
use crate::model::{
    Args, Deed, Desired, Egress, EntryObject, EnvVarInput, Error, Event, Limits, LimitsPatch,
    PassHeaders, Result, RunState, RuntimeChoice, Seen, Server, ServerId, ServerName, SleepChoice,
    Status, Storage, invalid_pass_headers, object_or_null,
};
use crate::store::{NewServer, ServerChange};
use crate::traefik::passes_never;
use crate::vault::{Place, random_bytes};

/// The longest description taken, in bytes.
const DESCRIPTION_MAX_BYTES: usize = 4 * 1024;

/// What a new server is made from; every field is checked.
pub struct CreateServer {
    /// Its name.
    pub name: ServerName,
    /// Free text.
    pub description: String,
    /// The object to serve.
    pub entry_object: EntryObject,
    /// Which Python environment.
    pub runtime: RuntimeChoice,
    /// What its file finds in `sys.argv[1:]`.
    pub args: Args,
    /// What it keeps beyond its containers.
    pub storage: Option<Storage>,
    /// Where its own connections may lead.
    pub egress: Egress,
    /// The headers in which it expects credentials of its own.
    pub pass_headers: PassHeaders,
    /// What it may use, where that is not the default.
    pub limits: LimitsPatch,
    /// When it is put to sleep.
    pub sleep: SleepChoice,
    /// Its code.
    pub code: CodeUpload,
    /// Its variables.
    pub env: Vec<EnvVarInput>,
    /// Whether to start it at once.
    pub start: bool,
}

/// A change of what may change without new code.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchServer {
    /// Free text.
    pub description: Option<String>,
    /// The object to serve.
    #[schema(value_type = Option<EntryObject>)]
    pub entry_object: Option<String>,
    /// Which Python environment.
    #[schema(value_type = Option<RuntimeChoice>)]
    pub runtime: Option<String>,
    /// What its file finds in `sys.argv[1:]`: the whole list.
    #[schema(value_type = Option<Args>)]
    pub args: Option<Value>,
    /// What it keeps beyond its containers: it may come and grow. `null` is a
    /// value.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<Storage>)]
    pub storage: Option<Value>,
    /// Where its own connections may lead; a running server restarts with it.
    #[schema(value_type = Option<Egress>)]
    pub egress: Option<String>,
    /// The whole list of headers in which it expects credentials of its own; from
    /// the next request on.
    pub pass_headers: Option<Vec<String>>,
    /// What it may use.
    #[serde(default, deserialize_with = "object_or_null")]
    pub limits: Option<LimitsPatch>,
    /// The operator's pause.
    pub hold: Option<bool>,
    /// The whole list of whom the server belongs to besides its creator.
    pub members: Option<Vec<String>>,
    /// When it is put to sleep; `null` is a value, so it is told apart from
    /// absence.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<SleepChoice>)]
    pub sleep: Option<Value>,
}

/// What a list is narrowed to.
#[derive(Debug, Default)]
pub struct ServerFilter {
    /// Part of the name or description, in any case.
    pub text: Option<String>,
    /// One status.
    pub status: Option<Status>,
}

impl Server {
    /// A new wish for the same thing, where it is wanted to run: its container
    /// is replaced.
    pub(super) fn wish_again_if_running(&mut self) {
        if self.desired == Desired::Running {
            self.generation += 1;
        }
    }
}

impl App {
    /// The servers that fit, by age, and how many there are in all.
    pub fn list_servers(&self, leave: &CanRead, filter: &ServerFilter) -> Vec<ServerView> {
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
                            .description
                            .to_lowercase()
                            .contains(text.as_str())
                })
            })
            .map(|entry| self.view(entry, leave.caller()))
            .collect()
    }

    /// One server.
    ///
    /// # Errors
    /// `server_not_found`.
    pub fn server(&self, leave: &CanRead, id_or_name: &str) -> Result<ServerView> {
        Ok(self.view(&self.find_server(id_or_name)?, leave.caller()))
    }

    /// Creates a server. Either all of it is there afterwards, or nothing.
    ///
    /// # Errors
    /// `name_like_id`, `name_taken`, `address_pool_full`, `description_too_long`,
    /// `limit_above_maximum`, `invalid_pass_headers`, a quota's code, or a full disk.
    pub async fn create_server(&self, leave: &CanCreate, new: CreateServer) -> Result<ServerView> {
        check_description(&new.description)?;
        check_passed(&new.pass_headers)?;
        new.name.check_new()?;
        let maxima = self.bounds.maxima();
        let limits = maxima
            .cap(Limits::default())
            .patched(new.limits)
            .checked()?;
        maxima.check(&limits, None)?;
        self.check_storage_change(new.storage, None).await?;
        if let Some(taken) = self.directory.find(new.name.as_str()) {
            // The store decides; this spares writing a file for nothing.
            return Err(Error::name_taken(&taken.server.name));
        }
        let now = Timestamp::now();
        let id = ServerId::new();
        let gateway_key = hex::encode(random_bytes::<32>()?);
        let env = env::seal_all(&self.vault, id, new.env, &[])?;
        let server = Server {
            description: new.description,
            entry_object: new.entry_object,
            runtime: new.runtime,
            limits,
            args: new.args,
            storage: new.storage,
            egress: new.egress,
            pass_headers: new.pass_headers,
            desired: if new.start {
                Desired::Running
            } else {
                Desired::Stopped
            },
            sleep: new.sleep,
            // The store gives it a free address.
            ..Server::new(id, new.name, leave.actor().clone(), now)
        };
        let state = RunState {
            generation: u64::from(!new.start),
            ..RunState::never_ran(now)
        };
        let record = NewServer {
            version: new.code.version(1, leave.actor().clone(), now),
            env,
            gateway_key: self.vault.seal(Place::GatewayKey(id), &gateway_key)?,
            state: state.clone(),
            event: Event::of_deed(now, Deed::Created, leave.actor()),
            server,
        };
        let (files, _) = self.write_version(id, 0, new.code).await?;
        let pool = self.settings.networks.open();
        let allowance = self.allowance(leave.actor(), leave.is_exempt());
        let inserted = self.store.insert_server(record, pool, allowance).await;
        self.settle_version(files, inserted.is_ok()).await;
        let server = inserted?;
        let entry = Entry {
            server: Arc::new(server),
            state: Arc::new(state),
            gateway_key: Arc::new(SecretString::from(gateway_key)),
            activity: Arc::default(),
            liveness: Arc::default(),
        };
        self.directory.insert(entry.clone());
        self.waker.wake(id);
        Ok(self.view(&entry, leave.caller()))
    }

    /// Changes what needs no new code.
    ///
    /// # Errors
    /// `server_not_found`, `precondition_failed`, or the code of the field that
    /// is wrong.
    pub async fn patch_server(
        &self,
        leave: &CanWrite,
        seen: Seen,
        patch: PatchServer,
    ) -> Result<ServerView> {
        if let Some(text) = &patch.description {
            check_description(text)?;
        }
        let members = match patch.members {
            Some(names) => Some(self.check_members(&leave.to_share()?, &names)?),
            None => None,
        };
        let entry_object: Option<EntryObject> =
            patch.entry_object.as_deref().map(str::parse).transpose()?;
        let runtime: Option<RuntimeChoice> =
            patch.runtime.as_deref().map(str::parse).transpose()?;
        let sleep = patch.sleep.map(SleepChoice::from_json).transpose()?;
        let args = patch.args.map(Args::from_json).transpose()?;
        let storage = patch.storage.map(Storage::from_json).transpose()?;
        self.check_storage(leave.server(), storage).await?;
        let maxima = self.bounds.maxima();
        let egress: Option<Egress> = patch.egress.as_deref().map(str::parse).transpose()?;
        let pass_headers = patch.pass_headers.map(PassHeaders::parse).transpose()?;
        pass_headers.iter().try_for_each(check_passed)?;
        let event = event(Deed::SettingsChanged, leave);
        self.change(leave, move |server| {
            seen.require(&server.etags().settings)?;
            server.settings_revision += 1;
            let before = server.clone();
            if let Some(text) = patch.description {
                server.description = text;
            }
            server.entry_object = entry_object.unwrap_or(before.entry_object.clone());
            server.runtime = runtime.unwrap_or(before.runtime);
            server.limits = before
                .limits
                .patched(patch.limits.unwrap_or_default())
                .checked()?;
            maxima.check(&server.limits, Some(&before.limits))?;
            server.hold = patch.hold.unwrap_or(before.hold);
            server.members = members.unwrap_or(before.members);
            server.sleep = sleep.unwrap_or(before.sleep);
            server.args = args.unwrap_or(before.args.clone());
            server.storage = storage.unwrap_or(before.storage);
            Storage::check_change(server.storage, before.storage, &maxima)?;
            server.egress = egress.unwrap_or(before.egress);
            server.pass_headers = pass_headers.unwrap_or(before.pass_headers);
            let is_moved = server.egress != before.egress;
            if is_moved {
                refuse_if_held(server)?;
                // Its route leads into the other network from now on, and who
                // cuts a server off does not mean "after its next restart".
                server.wish_again_if_running();
            }
            let needs_new_container = is_moved
                || server.entry_object != before.entry_object
                || server.runtime != before.runtime
                || server.args != before.args
                || server.storage != before.storage
                || server.limits != before.limits;
            server.revision += u64::from(needs_new_container);
            Ok(ServerChange::of_record(event))
        })
        .await
    }

    /// Asks for a start, stop or restart. What is so already is left alone.
    ///
    /// # Errors
    /// `server_not_found`, or if the database fails.
    pub async fn act(&self, leave: &CanWrite, action: Action) -> Result<ServerView> {
        let id = leave.server();
        let entry = self.find_server(&id.to_string())?;
        let is_up = entry.server.desired == Desired::Running
            && !(entry.state.status == Status::Error
                && entry.state.generation == entry.server.generation);
        let is_asleep = is_up && entry.state.status == Status::Sleeping;
        if action == Action::Start && is_asleep {
            // The same wish, so the container that sleeps is the right one.
            let event = event(Deed::WakeAsked, leave);
            self.want_awake(&entry);
            return self
                .change(leave, |_| Ok(ServerChange::of_record(event)))
                .await;
        }
        let is_done = match action {
            Action::Start => is_up,
            Action::Stop => entry.server.desired == Desired::Stopped,
            Action::Restart => false,
        };
        if is_done {
            return Ok(self.view(&entry, leave.caller()));
        }
        let (desired, deed) = match action {
            Action::Start => (Desired::Running, Deed::StartAsked),
            Action::Stop => (Desired::Stopped, Deed::StopAsked),
            Action::Restart => (Desired::Running, Deed::RestartAsked),
        };
        let event = event(deed, leave);
        self.change(leave, move |server| {
            server.desired = desired;
            server.generation += 1;
            Ok(ServerChange::of_record(event))
        })
        .await
    }

    /// Notes that somebody wants the server, and wakes it if it sleeps. However
    /// many want it, its one task wakes it once.
    pub fn want_awake(&self, entry: &Entry) {
        entry.activity.note();
        if entry.state.status == Status::Sleeping {
            self.waker.wake(entry.server.id);
        }
    }

    /// Waits until a server has settled, or `patience` runs out, and shows it.
    ///
    /// # Errors
    /// `server_not_found` if it was deleted meanwhile.
    pub async fn settled(
        &self,
        viewer: &Caller,
        id: ServerId,
        patience: Duration,
    ) -> Result<ServerView> {
        let deadline = Instant::now() + patience;
        let mut changes = self.directory.subscribe();
        loop {
            changes.mark_unchanged();
            let entry = self
                .directory
                .get(id)
                .ok_or_else(|| Error::no_server(&id.to_string()))?;
            let (server, state) = (&entry.server, &entry.state);
            let is_waking =
                state.status == Status::Sleeping && entry.activity.is_asked_for() && !server.hold;
            if state.is_settled(server.generation, server.desired) && !is_waking {
                return Ok(self.view(&entry, viewer));
            }
            // Of an EMCP that is to end, the answer is what it knows by then.
            let changed = self.closing.run_until_cancelled(changes.changed());
            match tokio::time::timeout_at(deadline, changed).await {
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => return Ok(self.view(&entry, viewer)),
            }
        }
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
        let id = self.find_server(id_or_name)?.server.id;
        let events = self.store.events_of(id, limit).await?;
        Ok(events.into_iter().map(EventView::from).collect())
    }

    /// A server's output.
    ///
    /// # Errors
    /// `server_not_found`.
    pub async fn log(&self, _: &CanRead, id_or_name: &str) -> Result<Arc<ServerLog>> {
        let id = self.find_server(id_or_name)?.server.id;
        Ok(self.logs.of(id).await)
    }

    /// Writes a change of a server's record, tells the directory, wakes the
    /// reconciler.
    pub(super) async fn change(
        &self,
        leave: &CanWrite,
        change: impl FnOnce(&mut Server) -> Result<ServerChange> + Send + 'static,
    ) -> Result<ServerView> {
        let id = leave.server();
        let creator = &self.find_server(&id.to_string())?.server.creator;
        let allowance = self.allowance(creator, leave.is_exempt());
        let server = self
            .store
            .update_server(id, allowance, move |server| {
                let change = change(server)?;
                server.updated_at = Timestamp::now();
                Ok(change)
            })
            .await?;
        self.directory.put_server(server);
        self.waker.wake(id);
        let entry = self
            .directory
            .get(id)
            .ok_or_else(|| Error::no_server(&id.to_string()))?;
        Ok(self.view(&entry, leave.caller()))
    }

    /// A server as this caller sees it.
    pub(super) fn view(&self, entry: &Entry, viewer: &Caller) -> ServerView {
        ServerView::of(
            entry,
            viewer,
            self.settings.base_of_servers(),
            &self.settings.networks,
            self.settings.sleep,
            self.bounds.maxima(),
        )
    }
}

/// What somebody does now, for the server's history.
pub(super) fn event(deed: Deed, leave: &CanWrite) -> Event {
    Event::of_deed(Timestamp::now(), deed, leave.actor())
}

/// A field that is there, whatever its value.
fn given<'de, D: Deserializer<'de>>(field: D) -> std::result::Result<Option<Value>, D::Error> {
    Value::deserialize(field).map(Some)
}

/// A held server's containers stay as they are, in the network they are in.
fn refuse_if_held(server: &Server) -> Result<()> {
    if server.hold {
        return Err(Error::Conflict {
            code: "server_held",
            field: Some("egress"),
            message: "egress cannot change while the server is held, since that takes a new container; send \"hold\":false first".to_owned(),
        });
    }
    Ok(())
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

fn check_description(text: &str) -> Result<()> {
    if text.len() > DESCRIPTION_MAX_BYTES {
        return Err(Error::invalid(
            "description_too_long",
            "description",
            "the description is longer than 4 KiB",
        ));
    }
    Ok(())
}
