use jiff::Timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::*;
use crate::model::{Origin, TokenSecret};

const ROLES: [Role; 4] = [Role::Admin, Role::Developer, Role::Viewer, Role::Connect];

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn here() -> ClientKey {
    ClientKey::V4([203, 0, 113, 7].into())
}

fn caller(name: &str, role: Role) -> Caller {
    Caller {
        principal: Principal::by_name(name),
        grant: Grant::of_role(role),
        credential: Some(TokenId(Uuid::now_v7())),
    }
}

fn server(creator: &str, members: &[&str]) -> Server {
    let mut server = Server::new(
        ServerId::new(),
        "demo".parse().unwrap(),
        Principal::by_name(creator),
        now(),
    );
    server.members = members.iter().copied().map(Principal::by_name).collect();
    server
}

fn token(name: &str, secret: &str) -> Token {
    Token {
        id: TokenId(Uuid::now_v7()),
        principal: Principal::by_name(name),
        grant: Grant::of_role(Role::Developer),
        hash: hex::encode(TokenSecret::hash_of(secret)),
        created_at: now(),
        created_by: Principal::administrator(),
        expires_at: None,
        last_used_at: None,
        quota: Default::default(),
    }
}

fn code<T: std::fmt::Debug>(result: Result<T>) -> &'static str {
    result.map_or_else(|error| error.code(), |_| "ok")
}

#[test]
fn what_each_role_may_do_to_a_server_by_whose_it_is() {
    let table: [(&str, [&str; 4]); 4] = [
        ("owner", ["ok", "ok", "forbidden", "forbidden"]),
        ("member", ["ok", "ok", "forbidden", "forbidden"]),
        (
            "stranger",
            ["ok", "not_your_server", "forbidden", "forbidden"],
        ),
        ("Owner", ["ok", "not_your_server", "forbidden", "forbidden"]),
    ];
    let server = server("owner", &["member"]);
    for (name, codes) in table {
        for (role, expected) in ROLES.into_iter().zip(codes) {
            let found = code(caller(name, role).may_write(&server));
            assert_eq!(found, expected, "{name} as {role:?}");
        }
    }
}

#[test]
fn code_and_variables_are_for_those_a_server_belongs_to() {
    let server = server("owner", &["guest"]);
    assert_eq!(code(caller("x", Role::Admin).may_inspect(&server)), "ok");
    assert_eq!(
        code(caller("owner", Role::Developer).may_inspect(&server)),
        "ok"
    );
    assert_eq!(
        code(caller("guest", Role::Viewer).may_inspect(&server)),
        "ok"
    );
    for role in [Role::Developer, Role::Viewer] {
        assert_eq!(
            code(caller("x", role).may_inspect(&server)),
            "not_your_server"
        );
    }
    assert_eq!(
        code(caller("owner", Role::Connect).may_inspect(&server)),
        "forbidden"
    );
}

#[test]
fn a_member_changes_a_server_but_not_whose_it_is() {
    let server = server("owner", &["member"]);
    let share = |name, role| code(caller(name, role).may_write(&server).unwrap().to_share());
    assert_eq!(share("owner", Role::Developer), "ok");
    assert_eq!(share("anybody", Role::Admin), "ok");
    assert_eq!(share("member", Role::Developer), "not_your_server");
}

#[test]
fn leave_for_one_server_names_it() {
    let (one, other) = (server("ada", &[]), server("ada", &[]));
    let permit = caller("ada", Role::Developer).may_write(&one).unwrap();
    assert_eq!(permit.server(), one.id);
    assert_ne!(permit.server(), other.id);
}

#[test]
fn a_refusal_says_whom_to_ask() {
    let error = caller("bob", Role::Developer)
        .may_write(&server("ada", &[]))
        .unwrap_err();
    assert!(error.to_string().contains("\"ada\""), "{error}");
}

#[test]
fn a_developer_makes_connect_tokens_for_own_servers_and_nothing_else() {
    let (own, other) = (server("ada", &[]), server("bob", &[]));
    let ada = caller("ada", Role::Developer).may_issue().unwrap();
    let check = |role, servers: Option<&[&Server]>| code(ada.check(role, servers));
    assert_eq!(check(Role::Connect, Some(&[&own])), "ok");
    assert_eq!(
        check(Role::Connect, Some(&[&own, &other])),
        "not_your_server"
    );
    assert_eq!(check(Role::Connect, Some(&[])), "servers_required");
    assert_eq!(check(Role::Connect, None), "servers_required");
    for role in [Role::Admin, Role::Developer, Role::Viewer] {
        assert_eq!(check(role, None), "forbidden");
    }
    assert!(!ada.covers(&token("made-by-admin", "x")));
    assert_eq!(code(caller("eve", Role::Viewer).may_issue()), "forbidden");
}

#[test]
fn a_developers_connect_token_reaches_what_is_still_theirs() {
    let mut demo = server("owner", &["ada"]);
    let made_by_ada = Caller {
        grant: Grant {
            servers: Some(vec![demo.id]),
            bound_to: Some(Principal::by_name("ada")),
            ..Grant::of_role(Role::Connect)
        },
        ..caller("laptop", Role::Connect)
    };
    assert_eq!(code(made_by_ada.may_connect(&demo)), "ok");
    demo.members.clear();
    assert_eq!(code(made_by_ada.may_connect(&demo)), "token_not_for_server");
}

#[test]
fn a_namesake_has_nothing_of_whom_they_are_called_like() {
    let demo = server("ada", &["bob"]);
    let from_elsewhere = |name: &str| Origin::Token(TokenId(Uuid::now_v7())).called(name);
    for name in ["ada", "bob"] {
        for role in [Role::Developer, Role::Viewer] {
            let namesake = Caller {
                principal: from_elsewhere(name),
                ..caller(name, role)
            };
            assert!(namesake.permissions_on(&demo).is_empty(), "{name} {role:?}");
        }
    }
    let namesake = Caller {
        principal: from_elsewhere("ada"),
        ..caller("ada", Role::Developer)
    };
    assert_eq!(code(namesake.may_write(&demo)), "not_your_server");
    let of_ada = Token {
        created_by: Principal::by_name("ada"),
        ..token("laptop", "x")
    };
    assert!(!namesake.may_issue().unwrap().covers(&of_ada));
    let by_a_namesake = Caller {
        grant: Grant {
            servers: Some(vec![demo.id]),
            bound_to: Some(namesake.principal),
            ..Grant::of_role(Role::Connect)
        },
        ..caller("laptop", Role::Connect)
    };
    let refused = by_a_namesake.may_connect(&demo);
    assert_eq!(code(refused), "token_not_for_server");
}

#[test]
fn a_revoked_token_is_refused_from_the_next_request_on() {
    let token = token("ada", "secret");
    let table = TokenTable::new(&SecretString::from("root"), vec![token.clone()]);
    assert!(table.identify("secret", here(), now()).is_some());
    let source = table.source(Some(token.id)).unwrap();
    assert!(table.caller_by_source(&source, now()).is_some());
    table.remove(token.id);
    assert!(table.identify("secret", here(), now()).is_none());
    assert!(table.caller_by_source(&source, now()).is_none());
    assert!(table.source(Some(token.id)).is_none());
}

#[test]
fn what_came_of_a_token_ends_where_another_takes_its_place() {
    let before = token("ada", "secret");
    let after = Token {
        hash: hex::encode(TokenSecret::hash_of("another")),
        ..before.clone()
    };
    let table = |admin: &str, token: &Token| {
        TokenTable::new(&SecretString::from(admin), vec![token.clone()])
    };
    let old = table("root", &before);
    for id in [None, Some(before.id)] {
        let source = old.source(id).unwrap();
        let text = serde_json::to_string(&source).unwrap();
        assert!(!text.contains(&before.hash), "{text}");
        let same: Source = serde_json::from_str(&text).unwrap();
        let opens = |table: &TokenTable| table.caller_by_source(&same, now()).is_some();
        assert!(opens(&table("root", &before)), "{id:?}");
        assert!(!opens(&table("rotated", &after)), "{id:?}");
    }
}

#[test]
fn a_use_is_unsaved_until_the_database_has_the_last_one() {
    let token = token("ada", "secret");
    let table = TokenTable::new(&SecretString::from("root"), vec![token.clone()]);
    assert!(table.unsaved_uses().is_empty());
    table.note_use(Some(token.id), here(), now());
    let saving = table.unsaved_uses();
    assert_eq!(saving, [(token.id, now())]);
    let later = now() + jiff::SignedDuration::from_secs(1);
    table.note_use(Some(token.id), here(), later);
    table.uses_saved(&saving);
    assert_eq!(table.unsaved_uses(), [(token.id, later)]);
    table.uses_saved(&[(token.id, later)]);
    assert!(table.unsaved_uses().is_empty());
    assert_eq!(table.list()[0].last_used_at, Some(later));
}

#[test]
fn a_token_is_known_where_it_worked_lately() {
    let token = token("ada", "secret");
    let table = TokenTable::new(&SecretString::from("root"), vec![token.clone()]);
    let known = |secret: &str, key| table.identify(secret, key, now()).unwrap().is_known_here;
    assert!(!known("secret", here()));
    table.note_use(Some(token.id), here(), now());
    table.note_use(None, here(), now());
    assert!(known("secret", here()));
    assert!(known("root", here()));
    for n in 0..4 {
        table.note_use(Some(token.id), ClientKey::V4([198, 18, 0, n].into()), now());
    }
    assert!(!known("secret", here()), "only the latest few are kept");
}
