//! Quotas hold under many callers at once: the store's own transactions are what
//! keeps them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use emcp::bundles::Bundles;
use emcp::model::{
    AddressPool, Deed, Desired, Event, Grant, Maxima, Origin, Principal, Quota, Release, Result,
    Role, RunState, Server, ServerId, ServerName, Token, TokenId,
};
use emcp::store::{Allowance, NewRelease, NewServer, ServerChange, Store};
use emcp::vault::{Place, Vault};
use jiff::Timestamp;
use tokio::sync::Barrier;

const CALLERS: usize = 24;
const MIB: u64 = 1024 * 1024;
const QUOTA: Quota = Quota {
    servers: 5,
    memory_bytes: 3 * 512 * MIB,
    stored_bytes: 1_000,
    tokens: 4,
    writes_per_minute: 60,
};

pub(crate) fn open(dir: &Path) -> (Store, Vault) {
    let vault = Vault::new(&[7; 32]);
    (Store::open(&dir.join("emcp.redb"), &vault).unwrap(), vault)
}

fn allowance(person: &str) -> Option<Allowance> {
    Some(Allowance {
        person: Principal::by_name(person),
        quota: QUOTA,
        maxima: Maxima::of_host(0, 0),
    })
}

/// A release of so many bytes; nobody looks for them on disk.
fn release(number: u32, size_bytes: usize) -> NewRelease {
    let code = vec![b'#'; size_bytes];
    let release = Release::of_file(number, &code, Principal::by_name("ada"), Timestamp::now());
    let bundle = Arc::new(Bundles::new(Path::new("/nowhere"))).lease(release.bundle);
    NewRelease { release, bundle }
}

async fn create(store: &Store, vault: &Vault, name: &str, desired: Desired) -> Result<Server> {
    let (id, now, actor) = (ServerId::new(), Timestamp::now(), Principal::by_name("ada"));
    let name: ServerName = name.parse().unwrap();
    let new = NewServer {
        server: Server {
            desired,
            ..Server::new(id, name, actor.clone(), now)
        },
        release: release(1, 10),
        env: Vec::new(),
        gateway_key: vault.seal(Place::GatewayKey(id), "key").unwrap(),
        state: RunState::never_ran(now),
        event: Event::of_deed(now, Deed::Created, &actor),
    };
    let pool = AddressPool::parse("198.18.4.0/24").unwrap();
    let inserted = store.insert_server(new, pool, allowance("ada")).await;
    inserted.map(|(server, _)| server)
}

/// What everybody is told who calls at once.
async fn at_once<T, F>(call: impl Fn(usize) -> F) -> (usize, BTreeMap<&'static str, usize>)
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(CALLERS));
    let calls = (0..CALLERS).map(|number| {
        let (barrier, work) = (Arc::clone(&barrier), call(number));
        tokio::spawn(async move {
            barrier.wait().await;
            work.await
        })
    });
    let mut refused = BTreeMap::new();
    let mut done = 0;
    for call in calls.collect::<Vec<_>>() {
        match call.await.unwrap() {
            Ok(_) => done += 1,
            Err(error) => *refused.entry(error.code()).or_default() += 1,
        }
    }
    (done, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_never_share_the_last_place() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path());
    let vault = Arc::new(vault);
    let (made, refused) = at_once(|number| {
        let (store, vault) = (store.clone(), Arc::clone(&vault));
        async move {
            let name = format!("demo-{number}");
            create(&store, &vault, &name, Desired::Stopped).await
        }
    })
    .await;
    assert_eq!((made, refused), (5, [("quota_servers", 19)].into()));

    // Each would fit by itself: 512 MiB of 1.5 GiB.
    let servers = store.load_servers().await.unwrap();
    let (started, refused) = at_once(|number| {
        let (store, id) = (store.clone(), servers[number % 5].server.id);
        async move {
            store
                .update_server(id, allowance("ada"), |server| {
                    server.desired = Desired::Running;
                    let actor = Principal::by_name("ada");
                    let event = Event::of_deed(Timestamp::now(), Deed::StartAsked, &actor);
                    Ok(ServerChange::of_record(event))
                })
                .await
        }
    })
    .await;
    let servers = store.load_servers().await.unwrap();
    let running = servers
        .iter()
        .filter(|stored| stored.server.desired == Desired::Running);
    assert_eq!(running.count(), 3);
    // A start of what is to run already adds nothing.
    assert_eq!(refused.keys().collect::<Vec<_>>(), [&"quota_memory"]);
    assert!(started >= 3);

    let token = |number: usize| Token {
        id: TokenId(ServerId::new().to_string().parse().unwrap()),
        principal: Principal::by_name(&format!("token-{number}")),
        grant: Grant {
            bound_to: Some(Principal::by_name("ada")),
            ..Grant::of_role(Role::Connect)
        },
        hash: "00".repeat(32),
        created_at: Timestamp::now(),
        created_by: Principal::by_name("ada"),
        expires_at: None,
        last_used_at: None,
        quota: Default::default(),
    };
    let (made, refused) = at_once(|number| {
        let (store, token) = (store.clone(), token(number));
        async move {
            let origin = Origin::Token(token.id);
            store.insert_token(token, origin, Some(QUOTA)).await
        }
    })
    .await;
    assert_eq!((made, refused), (4, [("quota_tokens", 20)].into()));

    let held = store.holdings(Maxima::of_host(0, 0)).await.unwrap();
    let ada = held[&Principal::by_name("ada")];
    assert_eq!((ada.servers, ada.tokens), (5, 4));
    assert_eq!(ada.memory_bytes, 3 * 512 * MIB);
}

#[tokio::test]
async fn what_is_stored_is_bounded_and_a_refused_change_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (store, vault) = open(dir.path());
    let server = create(&store, &vault, "demo", Desired::Stopped)
        .await
        .unwrap();
    let upload = |number: u32, size: usize, by: Option<Allowance>| {
        store.update_server(server.id, by, move |server| {
            server.version = number;
            server.newest_version = number;
            let actor = Principal::by_name("ada");
            let uploaded = Deed::CodeUploaded { version: number };
            Ok(ServerChange {
                release: Some(release(number, size)),
                ..ServerChange::of_record(Event::of_deed(Timestamp::now(), uploaded, &actor))
            })
        })
    };
    upload(2, 900, allowance("ada")).await.unwrap();
    let refused = upload(3, 100, allowance("ada")).await.unwrap_err();
    assert_eq!(refused.code(), "quota_storage");
    assert_eq!(store.releases_of(server.id).await.unwrap().len(), 2);
    assert_eq!(store.load_servers().await.unwrap()[0].server.version, 2);
    // An administrator is bound by none, and what is too much already may stay.
    upload(3, 5_000, None).await.unwrap();
    let described = store
        .update_server(server.id, allowance("ada"), |server| {
            server.settings.hold = true;
            let actor = Principal::by_name("ada");
            let event = Event::of_deed(Timestamp::now(), Deed::SettingsChanged, &actor);
            Ok(ServerChange::of_record(event))
        })
        .await;
    assert!(described.is_ok());
}
