use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use secrecy::SecretString;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::access::{Caller, ClientKey, TokenTable};
use crate::bundles::Bundles;
use crate::identity::parse_master_key;
use crate::model::{AuditFilter, Grant, Role, RunState, ServerId, TokenId, TokenSecret};
use crate::store::{NewRelease, NewServer};
use crate::tests::unpack_fixture;
use crate::vault::{Place, Vault};

/// A database of before, when people were names.
struct Old {
    dir: TempDir,
    vault: Vault,
}

impl Old {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        unpack_fixture(dir.path());
        let key = std::fs::read_to_string(dir.path().join("data/master.key")).unwrap();
        let vault = Vault::new(&parse_master_key(&key).unwrap());
        Self { dir, vault }
    }

    fn open(&self) -> Store {
        Store::open(&self.dir.path().join("data/emcp.redb"), &self.vault).unwrap()
    }
}

async fn names(store: &Store) -> Vec<String> {
    let known = store.principals().await.unwrap();
    let names: BTreeSet<_> = known.into_iter().map(|known| known.name).collect();
    names.into_iter().collect()
}

#[tokio::test]
async fn everybody_a_record_of_before_names_is_known_and_has_what_they_had() {
    let old = Old::new();
    let store = old.open();
    let people = ["EMCP", "ada", "admin", "bob", "connection test", "eve"];
    assert_eq!(names(&store).await, people);
    let servers = store.load_servers().await.unwrap();
    let runs = servers
        .iter()
        .find(|stored| stored.server.name.as_str() == "runs");
    let owners: Vec<_> = runs.unwrap().server.owners().cloned().collect();
    assert_eq!(owners, ["ada", "bob", "eve"].map(Principal::by_name));
    for token in store.load_tokens().await.unwrap() {
        let by_a_developer = token.grant.bound_to.is_some();
        assert_eq!(by_a_developer, token.created_by.name == "ada");
        let origin = if by_a_developer {
            Origin::Token(token.id)
        } else {
            Origin::of_name(&token.principal.name)
        };
        assert_eq!(token.principal.id, origin.id(), "{}", token.principal);
    }
    let (lines, _) = store.audit_page(AuditFilter::default(), 99).await.unwrap();
    assert!(lines.iter().any(|line| line.entry.actor.is_some()));

    // Killed before it was written, or once more: all is as after the first time.
    let first = store.dump().await.unwrap().lines;
    store
        .write(|txn| {
            let mut meta = txn.open_table(tables::META).map_err(codec::db)?;
            crate::store::write_meta(&mut meta, tables::META_LEVEL, &1_u64)
        })
        .await
        .unwrap();
    drop(store);
    assert_eq!(old.open().dump().await.unwrap().lines, first);
}

#[tokio::test]
async fn the_log_of_before_is_shared_out_by_who_they_are_also_where_nobodys_line_is_last() {
    let old = Old::new();
    let line = |who: Option<&str>| crate::store::AuditWrite {
        entry: AuditEntry {
            actor: who.map(Principal::by_name),
            ..AuditEntry::new(
                Timestamp::now(),
                "token.lock_out",
                crate::model::AuditResult::Refused,
            )
        },
        repeats: None,
    };
    let store = old.open();
    let (lines, _) = store.audit_page(AuditFilter::default(), 999).await.unwrap();
    let lines = lines.len() as u64;
    store.write_audit(vec![line(None)], 1_000).await.unwrap();
    // As that EMCP left it: by names.
    let keys = store
        .write(move |txn| {
            let mut meta = txn.open_table(tables::META).map_err(codec::db)?;
            crate::store::write_meta(&mut meta, tables::META_LEVEL, &1_u64)?;
            let mut index = txn.open_table(tables::AUDIT_BY_HOLDER).map_err(codec::db)?;
            index
                .retain(|key, ()| key.0.is_empty())
                .map_err(codec::db)?;
            for number in 0..lines {
                index.insert(("ada", number), ()).map_err(codec::db)?;
            }
            Ok(())
        })
        .await;
    keys.unwrap();
    drop(store);
    let store = old.open();
    let whose = store
        .read(|txn| {
            let index = txn.open_table(tables::AUDIT_BY_HOLDER).map_err(codec::db)?;
            let rows = index.iter().map_err(codec::db)?;
            rows.map(|row| Ok(row.map_err(codec::db)?.0.value().0.to_owned()))
                .collect::<Result<BTreeSet<String>>>()
        })
        .await
        .unwrap();
    assert!(!whose.contains("ada"), "{whose:?}");
    assert!(whose.contains(&Principal::administrator().id.to_string()));
}

fn developers_token(secret: &str, principal: Principal) -> Token {
    Token {
        id: TokenId(Uuid::now_v7()),
        principal,
        grant: Grant::of_role(Role::Developer),
        hash: hex::encode(TokenSecret::hash_of(secret)),
        created_at: Timestamp::now(),
        created_by: Principal::administrator(),
        expires_at: None,
        last_used_at: None,
        quota: Default::default(),
    }
}

/// Who presents this secret, after another start.
async fn caller(store: &Store, secret: &str) -> Caller {
    let table = TokenTable::new(
        &SecretString::from("root"),
        store.load_tokens().await.unwrap(),
    );
    let here = ClientKey::V4([203, 0, 113, 7].into());
    let found = table.identify(secret, here, Timestamp::now());
    found.unwrap().caller
}

async fn create(store: &Store, vault: &Vault, creator: &Principal) {
    let (id, now) = (ServerId::new(), Timestamp::now());
    let release = Release::of_file(1, b"x", creator.clone(), now);
    let bundle = Arc::new(Bundles::new(Path::new("/nowhere"))).lease(release.bundle);
    let new = NewServer {
        server: Server::new(id, "demo".parse().unwrap(), creator.clone(), now),
        release: NewRelease { release, bundle },
        env: Vec::new(),
        gateway_key: vault.seal(Place::GatewayKey(id), "key").unwrap(),
        state: RunState::never_ran(now),
        event: Event::of_deed(now, crate::model::Deed::Created, creator),
    };
    let pool = crate::model::AddressPool::parse("198.18.4.0/24").unwrap();
    store.insert_server(new, pool, None).await.unwrap();
}

#[tokio::test]
async fn who_is_called_something_else_keeps_what_is_theirs_and_no_namesake_gets_it() {
    let vault = Vault::new(&[7; 32]);
    let store = Store::in_memory(&vault).unwrap();
    let (origin, ada) = (Origin::of_name("ada"), Principal::by_name("ada"));
    let insert = |secret: &str, principal: Principal, origin: &Origin| {
        store.insert_token(developers_token(secret, principal), origin.clone(), None)
    };
    let kept = insert("first", ada.clone(), &origin).await.unwrap();
    create(&store, &vault, &ada).await;
    let elsewhere = Origin::Token(TokenId(Uuid::now_v7()));
    let namesake = elsewhere.called("Ada Lovelace");
    insert("namesake", namesake, &elsewhere).await.unwrap();

    let renamed = store.rename_principal(ada.id, "Ada Lovelace".to_owned());
    renamed.await.unwrap();
    let server = async || store.load_servers().await.unwrap().remove(0).server;
    let who = caller(&store, "first").await;
    assert_eq!(who.principal().name, "Ada Lovelace");
    assert!(who.may_write(&server().await).unwrap().to_share().is_ok());
    assert_eq!(server().await.creator.name, "Ada Lovelace");
    let history = store.events_of(server().await.id, 1).await.unwrap();
    assert_eq!(history[0].actor.as_ref().unwrap().name, "ada");

    // Her namesake, come from elsewhere, has nothing of hers.
    let other = caller(&store, "namesake").await;
    assert_eq!(other.principal().name, server().await.creator.name);
    for refused in [
        other.may_write(&server().await).map(drop),
        other.may_inspect(&server().await).map(drop),
        other.may_connect(&server().await).map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code(), "not_your_server");
    }

    // Her next token is hers, by the name that it is asked for.
    let taken = insert("second", ada.clone(), &origin).await.unwrap_err();
    assert_eq!(taken.code(), "token_name_taken");
    store.delete_token(kept.id).await.unwrap();
    let again = insert("second", ada.clone(), &origin).await.unwrap();
    assert_eq!(again.principal, ada);
    assert_eq!(again.principal.name, "Ada Lovelace");
    assert!(
        caller(&store, "second")
            .await
            .may_write(&server().await)
            .is_ok()
    );
}
