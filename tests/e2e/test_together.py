"""Several people at one server: what each is told they may do, two who change the same thing, and tokens that end with
their server."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import pytest

from support.api import Api, Json
from support.clients import bearer
from support.running import Platform
from support.streams import knock

CODE = "mcp = None\n"
CALLERS_AT_ONCE = 24


@dataclass(frozen=True)
class Person:
    """Somebody with a token of their own."""

    name: str
    api: Api


@pytest.fixture(scope="module")
def people(platform: Platform, api: Api) -> Iterator[dict[str, Person]]:
    roles = {"owner": "developer", "member": "developer", "stranger": "developer", "guest": "viewer"}
    made = {who: api.call("POST", "/api/tokens", json={"name": f"tog-{who}", "role": roles[who]}) for who in roles}
    yield {who: Person(f"tog-{who}", platform.api_as(token["token"])) for who, token in made.items()}
    for token in made.values():
        api.call("DELETE", f"/api/tokens/{token['id']}")


@pytest.fixture
def server(api: Api, people: dict[str, Person]) -> Iterator[str]:
    name = "tog-server"
    people["owner"].api.create(name, CODE)
    members = [people["member"].name, people["guest"].name]
    people["owner"].api.call("PATCH", f"/api/servers/{name}", json={"members": members})
    yield name
    if api.request("GET", f"/api/servers/{name}").is_success:
        api.delete(name)


def code_of(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, f"{answer.status_code} {answer.text}"
    code: str = answer.json()["error"]["code"]
    return code


def names_of(api: Api, **params: str) -> set[str]:
    """Those of this file: others leave tokens for every server."""
    names = {token["name"] for token in api.call("GET", "/api/tokens", params=params)["tokens"]}
    return {name for name in names if name.lower().startswith("tog")}


def test_each_is_told_what_they_may_do_and_that_is_what_happens(
    api: Api, people: dict[str, Person], server: str
) -> None:
    path = f"/api/servers/{server}"
    # What shows that somebody may: any answer but a refusal.
    attempts = {
        "inspect": ("GET", f"{path}/code", None),
        "call": ("POST", f"{path}/test", None),
        "act": ("POST", f"{path}/action", {"action": "stop"}),
        "update": ("PATCH", path, {"description": "x"}),
        "share": ("PATCH", path, {"members": [people["member"].name, people["guest"].name]}),
        "issue_tokens": ("POST", "/api/tokens", {"name": "tog-tried", "role": "connect", "servers": [server]}),
        # Says so before it would do it, so that it can be asked.
        "delete": ("DELETE", path, None),
    }
    expected = {
        "owner": set(attempts),
        "member": set(attempts) - {"share"},
        "stranger": set[str](),
        "guest": {"inspect"},
    }
    for who, person in people.items():
        told = set(person.api.server(server)["permissions"])
        assert told == expected[who], who
        listed = next(found for found in person.api.servers() if found["name"] == server)
        assert set(listed["permissions"]) == told
        may: set[str] = set()
        for permission, (method, url, body) in attempts.items():
            answer = person.api.request(method, url, json=body, headers={"If-Match": '"not this"'})
            if permission in {"update", "share", "delete"} and answer.status_code == 412:
                may.add(permission)
            elif answer.is_success:
                may.add(permission)
                if permission == "issue_tokens":
                    api.call("DELETE", f"/api/tokens/{answer.json()['id']}")
            else:
                assert code_of(answer, 403) in {"forbidden", "not_your_server"}
        assert may == told, who
    assert set(api.server(server)["permissions"]) == set(attempts)


def test_the_session_tells_what_may_be_done_with_the_platform(api: Api, people: dict[str, Person]) -> None:
    everything = {"read", "create_servers", "issue_tokens", "see_usage", "administer"}
    expected = {
        "owner": (everything - {"administer"}, ["connect"]),
        "guest": ({"read"}, []),
    }
    for who, (permissions, roles) in expected.items():
        session = people[who].api.call("GET", "/api/session")
        assert (set(session["permissions"]), session["token_roles"]) == (permissions, roles)
    session = api.call("GET", "/api/session")
    assert set(session["permissions"]) == everything
    assert session["token_roles"] == ["admin", "developer", "viewer", "connect"]


def test_who_changes_what_has_changed_is_refused_and_nothing_is_overwritten(api: Api, server: str) -> None:
    path = f"/api/servers/{server}"
    settings = api.request("GET", path).headers["etag"]
    code = api.request("GET", f"{path}/code").headers["etag"]
    env = api.request("GET", f"{path}/env").headers["etag"]
    shown = api.server(server)
    assert shown["etags"] == {"settings": settings, "code": code, "env": env}
    # Scripts that send none go on as before.
    api.call("PATCH", path, json={"description": "first"})
    api.call("PUT", f"{path}/code", content=CODE + "# first\n")
    api.set_env(server, [{"key": "A", "value": "first"}])

    refused = [
        api.request("PATCH", path, json={"description": "second"}, headers={"If-Match": settings}),
        api.request("PUT", f"{path}/code", content=CODE + "# second\n", headers={"If-Match": code}),
        api.request("POST", f"{path}/versions/1/activate", headers={"If-Match": code}),
        api.request("PUT", f"{path}/env", json=[], headers={"If-Match": env}),
        api.request("DELETE", path, headers={"If-Match": settings}),
    ]
    for answer in refused:
        assert code_of(answer, 412) == "precondition_failed"
    now = api.server(server)
    assert (now["description"], now["version"]) == ("first", 2)
    assert len(api.call("GET", f"{path}/versions")["versions"]) == 2
    assert api.call("GET", f"{path}/env")["env"] == [{"key": "A", "value": "first", "is_secret": False}]

    # With the tags of now each is taken, and the answer has the next one.
    patched = api.request("PATCH", path, json={"description": "second"}, headers={"If-Match": now["etags"]["settings"]})
    assert patched.is_success and patched.headers["etag"] not in {settings, now["etags"]["settings"]}
    again = api.request("PATCH", path, json={"description": "x"}, headers={"If-Match": patched.headers["etag"]})
    assert again.is_success
    put = api.request("PUT", f"{path}/code", content=CODE + "# 3\n", headers={"If-Match": f'"x", {now["etags"]["code"]}'})
    assert put.is_success and put.headers["etag"] == api.request("GET", f"{path}/code").headers["etag"]
    replaced = api.request("PUT", f"{path}/env", json=[], headers={"If-Match": now["etags"]["env"]})
    assert replaced.is_success and replaced.headers["etag"] == api.request("GET", f"{path}/env").headers["etag"]


def test_one_part_does_not_outdate_another_nor_do_starts_and_stops(api: Api, server: str) -> None:
    before = api.server(server)["etags"]
    api.set_env(server, [{"key": "A", "value": "1"}])
    api.action(server, "start")
    api.action(server, "stop")
    after = api.server(server)["etags"]
    assert (after["settings"], after["code"]) == (before["settings"], before["code"])
    assert after["env"] != before["env"]
    api.call("PUT", f"/api/servers/{server}/code", content=CODE + "# more\n")
    assert api.server(server)["etags"]["settings"] == before["settings"]


@pytest.mark.parametrize("wrong", ['"x"', "x", "W/{tag}", "{bare}", '""', ","])
def test_a_word_that_is_not_the_tag_changes_nothing(api: Api, server: str, wrong: str) -> None:
    tag = api.server(server)["etags"]["settings"]
    headers = {"If-Match": wrong.format(tag=tag, bare=tag.strip('"'))}
    answer = api.request("PATCH", f"/api/servers/{server}", json={"description": "no"}, headers=headers)
    assert code_of(answer, 412) == "precondition_failed"
    assert api.request("PATCH", f"/api/servers/{server}", json={}, headers={"If-Match": "*"}).is_success


@pytest.mark.parametrize("part", ["settings", "code", "env"])
def test_of_many_at_once_on_top_of_the_same_one_is_taken(api: Api, server: str, part: str) -> None:
    path = f"/api/servers/{server}"
    headers = {"If-Match": api.server(server)["etags"][part]}

    def change(number: int) -> int:
        asked: dict[str, tuple[str, str, Json]] = {
            "settings": ("PATCH", path, {"json": {"description": str(number)}}),
            "code": ("PUT", f"{path}/code", {"content": f"{CODE}# {number}\n"}),
            "env": ("PUT", f"{path}/env", {"json": [{"key": "N", "value": str(number)}]}),
        }
        method, url, options = asked[part]
        return api.request(method, url, headers=headers, **options).status_code

    with ThreadPoolExecutor(CALLERS_AT_ONCE) as pool:
        statuses = sorted(pool.map(change, range(CALLERS_AT_ONCE)))
    assert statuses == [200] + [412] * (CALLERS_AT_ONCE - 1)
    if part == "code":
        assert len(api.call("GET", f"{path}/versions")["versions"]) == 2


def test_a_taken_token_name_is_answered_with_a_free_one(api: Api, server: str) -> None:
    def ask(name: str) -> httpx.Response:
        return api.request("POST", "/api/tokens", json={"name": name, "role": "connect", "servers": [server]})

    assert ask("tog laptop").is_success
    name = "TOG laptop"
    for number in (2, 3):
        answer = ask(name)
        assert code_of(answer, 409) == "token_name_taken"
        error = answer.json()["error"]
        assert error["args"] == {"name": name, "free": f"TOG laptop {number}"} and error["field"] == "name"
        assert ask(error["args"]["free"]).is_success
    assert names_of(api, server=server) == {"tog laptop", "TOG laptop 2", "TOG laptop 3"}
    unknown = api.request("PATCH", f"/api/servers/{server}", json={"members": ["tog-nobody"]})
    assert code_of(unknown, 400) == "unknown_member"
    assert unknown.json()["error"]["args"] == {"name": "tog-nobody"}


def test_tokens_end_with_the_last_server_they_are_for(api: Api, people: dict[str, Person], server: str) -> None:
    other = people["owner"].api.create("tog-other", CODE)["name"]
    own = people["owner"].api.call(
        "POST", "/api/tokens", json={"name": "tog-own", "role": "connect", "servers": [server]}
    )
    both = api.connect_token("tog-both", [server, other])
    everywhere = api.call("POST", "/api/tokens", json={"name": "tog-all", "role": "connect"})
    api.connect_token("tog-elsewhere", [other])
    assert names_of(api, server=server) == {"tog-own", "tog-both", "tog-all"}
    # A developer sees those that they have made.
    assert names_of(people["owner"].api, server=server) == {"tog-own"}
    assert code_of(api.request("GET", "/api/tokens", params={"server": "tog-none"}), 404) == "server_not_found"

    people["owner"].api.delete(server)
    ours = {name for name in names_of(api) if name in {"tog-own", "tog-both", "tog-all", "tog-elsewhere"}}
    assert ours == {"tog-both", "tog-all", "tog-elsewhere"}
    assert knock(api, other, bearer(own["token"])).status_code == 401
    lines = api.call("GET", "/api/audit", params={"actor": people["owner"].name})["entries"]
    told = [(line["action"], line["target"], line["result"]) for line in lines]
    assert told.index(("token.revoke", "tog-own", "ok")) < told.index(("server.delete", server, "ok"))
    # Its name is free, and its successor's tokens are its own.
    people["owner"].api.create(server, CODE)
    assert names_of(api, server=server) == {"tog-all"}
    assert api.connect_token("tog-own", [server])
    assert knock(api, other, bearer(both)).status_code == 503

    people["owner"].api.delete(other)
    assert not {"tog-both", "tog-elsewhere"} & names_of(api)
    assert "tog-all" in names_of(api)
    api.call("DELETE", f"/api/tokens/{everywhere['id']}")


def test_tokens_made_while_their_server_is_deleted_end_with_it(api: Api, server: str) -> None:
    def make(number: int) -> int:
        body = {"name": f"tog-late-{number}", "role": "connect", "servers": [server]}
        return api.request("POST", "/api/tokens", json=body).status_code

    def work(number: int) -> int:
        if number == CALLERS_AT_ONCE // 2:
            return api.request("DELETE", f"/api/servers/{server}").status_code
        return make(number)

    with ThreadPoolExecutor(CALLERS_AT_ONCE) as pool:
        statuses = set(pool.map(work, range(CALLERS_AT_ONCE)))
    assert statuses <= {201, 204, 404}, statuses
    assert not {name for name in names_of(api) if name.startswith("tog-late-")}
