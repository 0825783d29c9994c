"""Who may do what: every route of the API, asked by everybody, and what each of them is told.

The routes are those of `/api/openapi.json`, which is made of `router.rs`: a new route
without a row here fails.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from support.api import Api
from support.clients import bearer
from support.logs import log_socket
from support.running import Platform
from support.streams import knock
from support.waits import until

Json = dict[str, Any]

CODE = "mcp = None\n"

# In the order of the rows below.
CALLERS = (
    "anonymous",
    "wrong",
    "connect",  # for the server asked about
    "connect-other",  # for another one
    "viewer",
    "owner",  # a developer; the server's creator
    "member",  # a developer, added by the owner
    "stranger",  # a developer with no part in it
    "admin",
)


@dataclass(frozen=True)
class Row:
    """A route, a request that would succeed, and the status for each caller."""

    route: str
    statuses: tuple[int, ...]
    options: Json | None = None
    path: str | None = None
    # Makes the thing that the request uses up; its result fills the path.
    fresh: str | None = None


def row(route: str, *statuses: int, options: Json | None = None, path: str | None = None, fresh: str = "") -> Row:
    assert len(statuses) == len(CALLERS), route
    return Row(route, statuses, options, path, fresh or None)


#                                                   anon wrong conn  other view own  memb  strg admin
TABLE = [
    row("get /api/servers",                          401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("post /api/servers",                         401, 401, 403, 403, 403, 201, 201, 201, 201,
        options={"json": {"name": "{new}", "code": CODE, "start": False}}),
    row("get /api/servers/{id}",                     401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("patch /api/servers/{id}",                   401, 401, 403, 403, 403, 200, 200, 403, 200,
        options={"json": {"description": "changed"}}),
    row("delete /api/servers/{id}",                  401, 401, 403, 403, 403, 204, 204, 403, 204, fresh="server"),
    row("post /api/servers/{id}/action",             401, 401, 403, 403, 403, 202, 202, 403, 202,
        options={"json": {"action": "stop"}}),
    row("get /api/servers/{id}/events",              401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("get /api/servers/{id}/code",                401, 401, 403, 403, 403, 200, 200, 403, 200),
    row("put /api/servers/{id}/code",                401, 401, 403, 403, 403, 200, 200, 403, 200,
        options={"content": CODE}),
    row("get /api/servers/{id}/versions",            401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("post /api/servers/{id}/versions/{number}/activate", 401, 401, 403, 403, 403, 200, 200, 403, 200),
    row("get /api/servers/{id}/env",                 401, 401, 403, 403, 403, 200, 200, 403, 200),
    row("put /api/servers/{id}/env",                 401, 401, 403, 403, 403, 200, 200, 403, 200,
        options={"json": {"env": [{"key": "A", "value": "1"}]}}),
    row("get /api/servers/{id}/logs",                401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("get /api/servers/{id}/connection",          401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("get /api/servers/{id}/versions/{number}/code", 401, 401, 403, 403, 403, 200, 200, 403, 200),
    # The server is stopped, so there is nothing to call: 409 is for those who may.
    row("get /api/servers/{id}/tools",               401, 401, 409, 403, 403, 409, 409, 403, 409),
    row("post /api/servers/{id}/tools/call",         401, 401, 409, 403, 403, 409, 409, 403, 409,
        options={"json": {"name": "add", "arguments": {}}}),
    row("post /api/servers/{id}/resources/read",     401, 401, 409, 403, 403, 409, 409, 403, 409,
        options={"json": {"uri": "a://b"}}),
    row("post /api/servers/{id}/prompts/get",        401, 401, 409, 403, 403, 409, 409, 403, 409,
        options={"json": {"name": "hello", "arguments": {}}}),
    row("post /api/servers/{id}/test",               401, 401, 200, 403, 403, 200, 200, 403, 200),
    row("get /api/names/{name}",                     401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("post /api/check",                           401, 401, 403, 403, 200, 200, 200, 200, 200,
        options={"json": {"code": CODE}}),
    row("get /api/templates",                        401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("get /api/events/stream",                    401, 401, 403, 403, 200, 200, 200, 200, 200),
    row("get /api/overview",                         401, 401, 403, 403, 200, 200, 200, 200, 200),
    # A developer sees what is their own.
    row("get /api/usage",                            401, 401, 403, 403, 403, 200, 200, 200, 200),
    row("get /api/audit",                            401, 401, 403, 403, 403, 403, 403, 403, 200),
    row("get /api/settings",                         401, 401, 403, 403, 403, 403, 403, 403, 200),
    row("get /api/backup",                           401, 401, 403, 403, 403, 403, 403, 403, 200),
    row("get /api/tokens",                           401, 401, 403, 403, 403, 200, 200, 200, 200),
    row("post /api/tokens",                          401, 401, 403, 403, 403, 201, 201, 403, 201,
        options={"json": {"name": "{new}", "role": "connect", "servers": ["{server}"]}}),
    row("patch /api/tokens/{id}",                    401, 401, 403, 403, 403, 403, 403, 403, 200, fresh="developer",
        options={"json": {"quota": {"servers": 60}}}),
    # Of a token that the administrator has made: a developer does not learn that there is such a one.
    row("delete /api/tokens/{id}",                   401, 401, 403, 403, 403, 404, 404, 404, 204, fresh="token"),
    row("get /api/session",                          200, 200, 200, 200, 200, 200, 200, 200, 200),
    # Whoever signs in does so by the token in the body, whatever stands in the header.
    row("post /api/session",                         401, 401, 403, 403, 200, 200, 200, 200, 200,
        options={"json": {"token": "{token}"}}),
    row("delete /api/session",                       204, 204, 204, 204, 204, 204, 204, 204, 204),
    row("get /api/openapi.json",                     200, 200, 200, 200, 200, 200, 200, 200, 200),
    row("get /healthz",                              200, 200, 200, 200, 200, 200, 200, 200, 200),
    row("get /ca.crt",                               200, 200, 200, 200, 200, 200, 200, 200, 200),
    # Not there unless they are wanted, and then nobody's (test_metrics.py).
    row("get /metrics",                              404, 404, 404, 404, 404, 404, 404, 404, 404),
    row("get /metrics/traefik",                      404, 404, 404, 404, 404, 404, 404, 404, 404),
]  # fmt: skip


@dataclass
class World:
    """One server with an owner and a member, another server, and everybody's token."""

    platform: Platform
    admin: Api
    tokens: dict[str, str | None]
    server: str
    other: str
    made: int = 0

    def new_name(self) -> str:
        self.made += 1
        return f"roles-made-{self.made}"

    def api(self, caller: str) -> Api:
        return self.platform.api_as(self.tokens[caller])

    def options(self, options: Json | None, caller: str) -> Json:
        """The request's body with its names filled in."""

        def fill(value: Any) -> Any:
            match value:
                case "{new}":
                    return self.new_name()
                case "{server}":
                    return self.server
                case "{token}":
                    return self.tokens[caller] or ""
                case dict():
                    return {key: fill(item) for key, item in value.items()}
                case list():
                    return [fill(item) for item in value]
                case _:
                    return value

        filled: Json = fill(options or {})
        return filled

    def fresh_server(self) -> str:
        created = self.api("owner").create(self.new_name(), CODE)
        self.api("owner").call("PATCH", f"/api/servers/{created['id']}", json={"members": ["roles-member"]})
        return str(created["id"])

    def fresh_token(self) -> str:
        body = {"name": self.new_name(), "role": "connect", "servers": [self.server]}
        return str(self.admin.call("POST", "/api/tokens", json=body)["id"])


    def fresh_developer(self) -> str:
        body = {"name": self.new_name(), "role": "developer"}
        return str(self.admin.call("POST", "/api/tokens", json=body)["id"])


@pytest.fixture(scope="module")
def world(platform: Platform, api: Api) -> Iterator[World]:
    def person(name: str, role: str, servers: list[str] | None = None) -> str:
        body = {"name": f"roles-{name}", "role": role, "servers": servers}
        token: str = api.call("POST", "/api/tokens", json=body)["token"]
        return token

    tokens: dict[str, str | None] = {"anonymous": None, "wrong": f"emcp_{'0' * 64}", "admin": platform.admin_token}
    tokens |= {name: person(name, "developer") for name in ("owner", "member", "stranger")}
    tokens["viewer"] = person("viewer", "viewer")
    owner = platform.api_as(tokens["owner"])
    server = owner.create("roles-server", CODE)["name"]
    other = api.create("roles-other", CODE)["name"]
    owner.call("PATCH", f"/api/servers/{server}", json={"members": ["roles-member"]})
    tokens["connect"] = person("connect", "connect", [server])
    tokens["connect-other"] = person("connect-other", "connect", [other])
    world = World(platform, api, tokens, server, other)
    yield world
    for found in api.servers():
        if found["name"].startswith("roles-"):
            api.delete(found["id"])
    for token in api.call("GET", "/api/tokens")["tokens"]:
        if token["name"].startswith("roles-"):
            api.call("DELETE", f"/api/tokens/{token['id']}")


def code_of(answer: httpx.Response, status: int = 403) -> str:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    code: str = answer.json()["error"]["code"]
    return code


def test_every_route_has_a_row(api: Api) -> None:
    document = api.call("GET", "/api/openapi.json")
    served = {f"{method} {path}" for path, methods in document["paths"].items() for method in methods}
    assert served == {row.route for row in TABLE}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.route)
def test_what_everybody_is_told(world: World, row: Row) -> None:
    method, path = row.route.split(" ")
    fresh = {"server": world.fresh_server, "token": world.fresh_token, "developer": world.fresh_developer}
    told = {}
    for caller in CALLERS:
        target = fresh.get(row.fresh or "", lambda: world.server)()
        url = path.replace("{id}", target).replace("{number}", "1").replace("{name}", "free")
        # Some answers never end: their status is enough.
        request = world.api(caller).http.stream(method.upper(), url, **world.options(row.options, caller))
        with request as answer:
            if answer.status_code >= 400:
                answer.read()
        told[caller] = answer.status_code
        if answer.status_code >= 400:
            error = answer.json()["error"]
            assert error["code"] and error["message"] and error["request_id"]
    assert told == dict(zip(CALLERS, row.statuses, strict=True))


def test_the_gate_lets_through_whom_it_should(world: World) -> None:
    """The server is stopped: 503 is what a caller is told who may call it."""
    told = {}
    for caller in CALLERS:
        token = world.tokens[caller]
        told[caller] = knock(world.admin, world.server, bearer(token) if token else {}).status_code
    expected = dict(zip(CALLERS, (401, 401, 503, 403, 403, 503, 503, 403, 503), strict=True))
    assert told == expected


def test_a_refusal_names_whom_to_ask(world: World) -> None:
    answer = world.api("stranger").request("DELETE", f"/api/servers/{world.server}")
    assert code_of(answer) == "not_your_server"
    assert '"roles-owner"' in answer.json()["error"]["message"]
    assert code_of(world.api("viewer").request("GET", f"/api/servers/{world.server}/env")) == "not_your_server"


def test_who_may_change_nothing_does_not_learn_what_there_is(world: World) -> None:
    for caller in ("connect", "viewer"):
        assert code_of(world.api(caller).request("DELETE", "/api/servers/no-such-server")) == "forbidden"


def test_members_are_added_by_the_creator_and_lose_what_they_had(world: World) -> None:
    owner, member, stranger = world.api("owner"), world.api("member"), world.api("stranger")
    path = f"/api/servers/{world.fresh_server()}"
    both = {"members": ["roles-member", "roles-stranger"]}
    assert code_of(member.request("PATCH", path, json=both)) == "not_your_server"
    assert code_of(owner.request("PATCH", path, json={"members": ["roles-nobody"]}), 400) == "unknown_member"
    assert code_of(owner.request("PATCH", path, json={"members": ["a\nb"]}), 400) == "invalid_members"
    assert owner.call("PATCH", path, json=both)["members"] == both["members"]
    assert stranger.request("GET", f"{path}/env").is_success
    # Whether or not their tokens still live, those who are members may stay.
    owner.call("PATCH", path, json={"members": ["roles-member"]})
    assert code_of(stranger.request("GET", f"{path}/env")) == "not_your_server"
    assert member.request("GET", f"{path}/env").is_success


def test_a_viewer_who_is_a_member_sees_and_does_not_touch(world: World) -> None:
    path = f"/api/servers/{world.fresh_server()}"
    world.api("owner").call("PATCH", path, json={"members": ["roles-viewer"]})
    viewer = world.api("viewer")
    assert viewer.request("GET", f"{path}/code").text == CODE
    assert code_of(viewer.request("PATCH", path, json={"description": "x"})) == "forbidden"


def test_a_developer_makes_lists_and_revokes_own_connect_tokens(world: World) -> None:
    owner, stranger = world.api("owner"), world.api("stranger")

    def ask(**fields: Any) -> httpx.Response:
        return owner.request("POST", "/api/tokens", json={"name": world.new_name(), "role": "connect", **fields})

    assert code_of(ask(servers=None), 400) == "servers_required"
    assert code_of(ask(servers=[]), 400) == "servers_required"
    assert code_of(ask(servers=[world.server, world.other])) == "not_your_server"
    assert code_of(ask(role="developer")) == "forbidden"
    made = ask(servers=[world.server]).json()
    assert knock(world.admin, world.server, bearer(made["token"])).status_code == 503
    assert [token["id"] for token in owner.call("GET", "/api/tokens")["tokens"]].count(made["id"]) == 1
    assert made["id"] not in [token["id"] for token in stranger.call("GET", "/api/tokens")["tokens"]]
    assert code_of(stranger.request("DELETE", f"/api/tokens/{made['id']}"), 404) == "token_not_found"
    owner.call("DELETE", f"/api/tokens/{made['id']}")
    assert knock(world.admin, world.server, bearer(made["token"])).status_code == 401


def test_a_former_members_connect_tokens_reach_nothing_any_more(world: World) -> None:
    server = world.fresh_server()
    body = {"name": world.new_name(), "role": "connect", "servers": [server]}
    token = world.api("member").call("POST", "/api/tokens", json=body)["token"]
    name = world.admin.server(server)["name"]
    until("the route", lambda: knock(world.admin, name, bearer(token)).status_code == 503, 30)
    world.api("owner").call("PATCH", f"/api/servers/{server}", json={"members": []})
    assert code_of(knock(world.admin, name, bearer(token))) == "token_not_for_server"


@pytest.mark.parametrize("name", ["roles-owner", "ROLES-Owner", " roles-owner ", "admin", "Admin"])
def test_a_name_is_one_persons(world: World, name: str) -> None:
    answer = world.admin.request("POST", "/api/tokens", json={"name": name, "role": "viewer"})
    assert code_of(answer, 409) == "token_name_taken"


def test_last_use_is_shown(world: World) -> None:
    name = world.new_name()
    made = world.admin.call("POST", "/api/tokens", json={"name": name, "role": "viewer"})

    def shown() -> Any:
        listing = world.admin.call("GET", "/api/tokens")["tokens"]
        return next(token for token in listing if token["id"] == made["id"])["last_used_at"]

    assert made["last_used_at"] is None
    assert shown() is None
    world.platform.api_as(made["token"]).servers()
    first = shown()
    assert first is not None
    knock(world.admin, world.server, bearer(made["token"]))
    assert shown() > first


@pytest.fixture
def audit(world: World) -> Callable[..., list[Json]]:
    def read(**params: Any) -> list[Json]:
        entries: list[Json] = world.admin.call("GET", "/api/audit", params=params)["entries"]
        return entries

    return read


def test_the_audit_log_says_who_did_what_from_where(world: World, audit: Callable[..., list[Json]]) -> None:
    owner = world.api("owner")
    name = world.new_name()
    server = owner.create(name, CODE)
    owner.set_env(name, [{"key": "PASSWORD", "value": "hunter2-hunter2", "is_secret": True}])
    owner.action(name, "start")
    world.api("stranger").request("PATCH", f"/api/servers/{name}", json={"description": "mine"})
    owner.delete(name)
    lines = [line for line in audit(limit=50) if line.get("target") == name]
    assert [(line["actor"], line["action"], line["result"], line.get("code")) for line in lines] == [
        ("roles-owner", "server.delete", "ok", None),
        ("roles-stranger", "server.change", "refused", "not_your_server"),
        ("roles-owner", "server.start", "ok", None),
        ("roles-owner", "env.put", "ok", None),
        ("roles-owner", "server.create", "ok", None),
    ]
    assert {line["target_id"] for line in lines} == {server["id"]}
    assert {line["from"] for line in lines} == {"127.0.0.1"}
    assert all(line["token_id"] and line["at"] for line in lines)
    ids = [line["id"] for line in lines]
    assert ids == sorted(ids, reverse=True)


def test_the_audit_log_holds_no_secret(world: World, audit: Callable[..., list[Json]]) -> None:
    made = world.admin.call("POST", "/api/tokens", json={"name": world.new_name(), "role": "viewer"})
    mistaken = world.api("owner")
    # A token where an id belongs must not end up in the log either.
    mistaken.request("DELETE", f"/api/tokens/{made['token']}")
    mistaken.request("DELETE", f"/api/servers/{made['token']}")
    browser = world.platform.api_as(None)
    browser.call("POST", "/api/session", json={"token": made["token"]})
    text = str(audit(limit=1000))
    assert "session.sign_in" in text
    assert "hunter2" not in text
    for token in (made["token"], *filter(None, world.tokens.values())):
        assert token not in text


def test_the_audit_log_is_read_in_pages_and_narrowed(world: World, audit: Callable[..., list[Json]]) -> None:
    first = world.admin.call("GET", "/api/audit", params={"limit": 2})
    second = world.admin.call("GET", "/api/audit", params={"limit": 2, "before": first["next"]})
    ids = [line["id"] for line in first["entries"] + second["entries"]]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 4
    assert {line["actor"] for line in audit(actor="roles-owner")} == {"roles-owner"}
    assert {line["action"] for line in audit(action="token.create")} == {"token.create"}
    assert {line["action"].split(".")[0] for line in audit(action="server")} == {"server"}
    assert code_of(world.admin.request("GET", "/api/audit", params={"limit": 0}), 400) == "invalid_query"


def test_the_same_refusal_again_does_not_fill_the_audit_log(world: World, audit: Callable[..., list[Json]]) -> None:
    made = world.admin.call("POST", "/api/tokens", json={"name": world.new_name(), "role": "viewer"})
    viewer = world.platform.api_as(made["token"])
    for _ in range(20):
        viewer.request("POST", "/api/servers", json={})
    lines = audit(actor=made["name"])
    assert [(line["action"], line["code"], line["count"]) for line in lines] == [("server.create", "forbidden", 20)]
    assert lines[0]["last_at"] > lines[0]["at"]


def test_looks_at_code_variables_and_logs_and_trials_are_in_the_audit_log_once_a_minute(
    world: World, audit: Callable[..., list[Json]]
) -> None:
    made = world.admin.call("POST", "/api/tokens", json={"name": world.new_name(), "role": "developer"})
    reader = world.platform.api_as(made["token"])
    path = f"/api/servers/{reader.create(world.new_name(), CODE)['id']}"
    other = f"/api/servers/{world.other}"
    for _ in range(3):
        reader.request("GET", f"{path}/code")
        reader.request("GET", f"{path}/versions/1/code")
        reader.request("GET", f"{path}/env")
        reader.request("GET", f"{path}/logs")
        reader.request("GET", f"{path}/tools")
        reader.request("POST", f"{path}/test")
        reader.request("GET", f"{other}/code")
    with log_socket(reader, path.rsplit("/", 1)[1]):
        pass
    lines = {(line["action"], line["result"], line.get("code")): line.get("count") for line in audit(actor=made["name"])}
    assert lines == {
        ("server.create", "ok", None): None,
        ("code.read", "ok", None): 6,
        ("code.read", "refused", "not_your_server"): 3,
        ("env.read", "ok", None): 3,
        # The last by WebSocket.
        ("log.read", "ok", None): 4,
        ("server.list_tools", "refused", "server_not_running"): 3,
        ("server.test", "ok", None): 3,
    }
