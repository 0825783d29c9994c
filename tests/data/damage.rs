//! Flipped bits and cut files: whatever happens to a database, `emcp check` finds
//! it or nothing is changed by it, and no command panics.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use emcp::identity::{Identity, Layout};
use emcp::model::{
    AddressPool, AuditEntry, AuditResult, Deed, Event, Grant, Origin, Principal, Role, RunState,
    Server, ServerId, ServerSettings, Token, TokenId,
};
use emcp::settings::SettingsInput;
use emcp::store::{AuditWrite, NewServer, Store, StoredEnvVar, StoredValue};
use emcp::vault::{Place, Vault};
use jiff::Timestamp;

use super::maintenance::release;

const FLIPS: u64 = 60;
const SERVERS: u32 = 12;

/// A data directory with records in every table, closed cleanly.
struct Platform {
    dir: tempfile::TempDir,
    key: [u8; 32],
    database: Vec<u8>,
    dump: Vec<u8>,
}

impl Platform {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let settings = SettingsInput {
            data_dir: Some(dir.path().to_owned()),
            ..SettingsInput::default()
        };
        let settings = settings.check().unwrap();
        let key = Identity::load_or_create(&settings).unwrap().master_key;
        let layout = Layout::new(dir.path());
        let store = Store::open(&layout.database(), &Vault::new(&key)).unwrap();
        for number in 0..SERVERS {
            add_server(&store, &Vault::new(&key), &layout, number).await;
        }
        drop(store);
        let dump = dump(dir.path(), &key).await.unwrap();
        Self {
            database: fs::read(layout.database()).unwrap(),
            dir,
            key,
            dump,
        }
    }

    fn put(&self, content: &[u8]) {
        fs::write(Layout::new(self.dir.path()).database(), content).unwrap();
    }

    fn content(&self) -> Vec<u8> {
        fs::read(Layout::new(self.dir.path()).database()).unwrap()
    }

    fn run(&self, command: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_emcp"))
            .arg(command)
            .env_clear()
            .env("EMCP_DATA_DIR", self.dir.path())
            .output()
            .unwrap()
    }

    /// Whether it is found, or changes nothing that is read.
    async fn judge(&self, damaged: &[u8], what: &str) -> bool {
        self.put(damaged);
        let done = self.run("check");
        let said = said(&done);
        assert!(!said.contains("panicked"), "{what}: {said}");
        assert_eq!(
            self.content(),
            damaged,
            "{what}: check has changed the file"
        );
        if !done.status.success() {
            assert!(said.contains("database"), "{what}: {said}");
            assert!(said.to_lowercase().contains("restore"), "{what}: {said}");
        }
        // As the service would meet it. Every error is one of ours.
        let read = dump(self.dir.path(), &self.key).await;
        if done.status.success() {
            assert_eq!(read.as_ref(), Ok(&self.dump), "{what} was not found");
        }
        self.put(damaged);
        let rotated = self.run("rotate-key");
        let said = self::said(&rotated);
        assert!(!said.contains("panicked"), "{what}: {said}");
        fs::write(
            Layout::new(self.dir.path()).master_key(),
            hex::encode(self.key),
        )
        .unwrap();
        !done.status.success()
    }
}

async fn add_server(store: &Store, vault: &Vault, layout: &Layout, number: u32) {
    let (id, now) = (ServerId::new(), Timestamp::now());
    let actor = Principal::by_name("admin");
    let code = format!("# server {number}\n");
    let secret = vault.seal(Place::Env(id, "TOKEN"), "hunter2").unwrap();
    let new = NewServer {
        server: Server {
            settings: ServerSettings {
                description: format!("the server number {number} of a test of damages")
                    .parse()
                    .unwrap(),
                ..ServerSettings::default()
            },
            ..Server::new(
                id,
                format!("demo-{number}").parse().unwrap(),
                actor.clone(),
                now,
            )
        },
        release: release(layout.root(), code.as_bytes(), actor.clone(), now),
        env: vec![StoredEnvVar {
            key: "TOKEN".parse().unwrap(),
            value: StoredValue::Sealed(secret),
        }],
        gateway_key: vault.seal(Place::GatewayKey(id), "key").unwrap(),
        state: RunState::never_ran(now),
        event: Event::of_deed(now, Deed::Created, &actor),
    };
    let pool = AddressPool::parse("198.18.0.0/24").unwrap();
    store.insert_server(new, pool, None).await.unwrap();
    let name = format!("person {number}");
    let origin = Origin::of_name(&name);
    let token = Token {
        id: TokenId(ServerId::new().to_string().parse().unwrap()),
        principal: origin.called(name),
        grant: Grant::of_role(Role::Developer),
        hash: "00".repeat(32),
        created_at: now,
        created_by: Principal::administrator(),
        expires_at: None,
        last_used_at: None,
        quota: Default::default(),
    };
    store.insert_token(token, origin, None).await.unwrap();
    let entry = AuditEntry {
        actor: Some(Principal::administrator()),
        target: Some(format!("demo-{number}")),
        ..AuditEntry::new(now, "server.create", AuditResult::Ok)
    };
    let line = AuditWrite {
        entry,
        repeats: None,
    };
    store.write_audit(vec![line; 20], 10_000).await.unwrap();
}

/// Everything, as the service reads it; or its error.
async fn dump(dir: &Path, key: &[u8; 32]) -> Result<Vec<u8>, String> {
    let vault = Vault::new(key);
    let store = Store::open_existing(&Layout::new(dir).database(), &vault);
    let store = store.map_err(|error| error.to_string())?;
    let wrong = store.inconsistencies().await.map_err(|e| e.to_string())?;
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    store.load_servers().await.map_err(|e| e.to_string())?;
    store.load_tokens().await.map_err(|e| e.to_string())?;
    let dump = store.dump().await;
    dump.map(|dump| dump.lines).map_err(|e| e.to_string())
}

fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// The same numbers in every run (splitmix64).
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }
}

#[tokio::test]
async fn every_flipped_bit_is_found_or_changes_nothing() {
    let platform = Platform::new().await;
    let whole = &platform.database;
    let used: Vec<usize> = (0..whole.len()).filter(|at| whole[*at] != 0).collect();
    let mut number = numbers(7);
    let mut found = 0;
    for flip in 0..FLIPS {
        // Most of the file is free; half of the bits are where something is.
        let at = if flip % 2 == 0 {
            number(whole.len() as u64) as usize
        } else {
            used[number(used.len() as u64) as usize]
        };
        let bit = number(8);
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << bit;
        let what = format!("bit {bit} of byte {at}");
        found += u32::from(platform.judge(&damaged, &what).await);
    }
    assert!(found > 5, "only {found} of {FLIPS} were found");
    platform.put(whole);
    assert!(platform.run("check").status.success());
}

#[tokio::test]
async fn a_flip_in_a_record_is_found_with_its_table_and_key() {
    let platform = Platform::new().await;
    let needle = b"the server number 7 of a test";
    let whole = &platform.database;
    let places: Vec<usize> = (0..whole.len() - needle.len())
        .filter(|at| whole[*at..].starts_with(needle))
        .collect();
    // Older pages still have it; the last commit has it once.
    let mut named = 0;
    for at in places {
        let mut damaged = whole.clone();
        damaged[at + 4] ^= 1;
        if platform.judge(&damaged, &format!("byte {at}")).await {
            platform.put(&damaged);
            let said = said(&platform.run("check"));
            assert!(said.contains("table servers, record 0"), "{said}");
            assert!(said.contains("emcp restore"), "{said}");
            named += 1;
        }
    }
    assert_eq!(named, 1);
}

#[tokio::test]
async fn a_file_that_was_cut_short_is_found_and_makes_nothing_panic() {
    let platform = Platform::new().await;
    let whole = &platform.database;
    let (len, page) = (whole.len(), 4096);
    for cut in [
        0,
        1,
        8,
        100,
        511,
        512,
        page - 1,
        page,
        page + 1,
        3 * page,
        len / 4,
        len / 3,
        len / 2,
        len - page,
        len - 512,
        len - 1,
    ] {
        let what = format!("cut to {cut} of {len} bytes");
        assert!(platform.judge(&whole[..cut], &what).await, "{what}");
        // And the service refuses it, without a change.
        platform.put(&whole[..cut]);
        let refused = dump(platform.dir.path(), &platform.key).await.unwrap_err();
        assert!(
            refused.contains("cannot be read") || refused.contains("damaged"),
            "{what}: {refused}"
        );
        assert_eq!(platform.content(), &whole[..cut], "{what}");
    }
}
