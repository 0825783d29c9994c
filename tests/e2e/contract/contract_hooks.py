"""Rules of the API that JSON Schema cannot say, applied to what schemathesis makes up.

Only requests that fit the schema are changed; wrong ones go out as they are, but that none waits long.
"""

import itertools
from typing import Any

import schemathesis

# What `wait` may be at most, and what it is made to be: waiting is right, and tells nothing.
WAIT_MAX_SECS, WAIT_SECS = 120, 2

_numbers = itertools.count()


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: Any) -> None:
    # What is wrong with a request may be something else than how long it waits.
    wait = str(case.query.get("wait")) if isinstance(case.query, dict) else ""
    if wait.isdecimal() and WAIT_SECS < int(wait) <= WAIT_MAX_SECS:
        case.query["wait"] = WAIT_SECS
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if case.headers and "If-Match" in case.headers:
        # Which tag is that of now only the server knows.
        case.headers["If-Match"] = "*"
    body = _with_plain_integers(case.body)
    if isinstance(body, dict) and isinstance(body.get("entry_object"), str):
        # Which words are identifiers is Python's to say.
        body["entry_object"] = "mcp"
    match case.operation.label:
        case "POST /api/servers":
            _create(body)
            _pass_headers(body)
            _sleep(body)
            _limits(body)
        case "PATCH /api/servers/{id}":
            _patch(body)
            _pass_headers(body)
            _sleep(body)
            _limits(body)
        case "POST /api/tokens":
            _token(body)
        case "PATCH /api/tokens/{id}":
            # Only developers have one, and most of these tokens are no developer's.
            body = {**body, "quota": {}} if isinstance(body, dict) else body
        case "PUT /api/servers/{id}/env":
            body = _env(body)
        case "PUT /api/servers/{id}/code":
            body = _code(body)
    case.body = body


def _with_plain_integers(value: Any) -> Any:
    """JSON Schema takes 1.0 for an integer; EMCP wants it written as one."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_with_plain_integers(item) for item in value]
    if isinstance(value, dict):
        return {key: _with_plain_integers(item) for key, item in value.items()}
    return value


def _create(body: Any) -> None:
    if isinstance(body, dict):
        # Hundreds of containers of meaningless code would tell nothing.
        body["start"] = False
        if "env" in body:
            body["env"] = _variables(body["env"])


def _patch(body: Any) -> None:
    """A member must be a person."""
    if isinstance(body, dict) and body.get("members"):
        body["members"] = []


def _pass_headers(body: Any) -> None:
    """Which names are headers that may pass is a longer story than a schema tells."""
    if isinstance(body, dict) and body.get("pass_headers"):
        body["pass_headers"] = ["Authorization"]


def _sleep(body: Any) -> None:
    """Of the idle times at least one is given, and stopping comes after pausing."""
    sleep = body.get("sleep") if isinstance(body, dict) else None
    if not isinstance(sleep, dict):
        return
    pause, stop = sleep.get("pause_after_secs"), sleep.get("stop_after_secs")
    if pause is None and stop is None:
        sleep["pause_after_secs"] = 600
    elif pause is not None and stop is not None and stop <= pause:
        sleep["stop_after_secs"] = None


def _limits(body: Any) -> None:
    """What any server may have at most is the operator's to say; the least is always possible."""
    limits = body.get("limits") if isinstance(body, dict) else None
    if isinstance(limits, dict):
        least = {"memory_bytes": 64 << 20, "cpus": 0.05, "pids": 16}
        limits.update({name: least[name] for name, value in limits.items() if value is not None})
    if isinstance(body, dict) and body.get("storage"):
        body["storage"] = {"size_bytes": 16 << 20}


def _token(body: Any) -> None:
    """A name is given once, an expiry must lie ahead; servers are for "connect", a quota is for "developer"."""
    if isinstance(body, dict):
        body["name"] = f"made-up-{next(_numbers)}"
        if isinstance(body.get("expires_at"), str):
            body["expires_at"] = "2999-01-01T00:00:00Z"
        if body.get("role") != "connect" and "servers" in body:
            body["servers"] = None
        if body.get("role") != "developer" and "quota" in body:
            body["quota"] = None


def _code(body: Any) -> Any:
    """As plain text it must not be empty nor hold NUL."""
    if not isinstance(body, str):
        return body
    return body.replace("\0", "").strip() or "# nothing"


def _env(body: Any) -> Any:
    if isinstance(body, dict) and "env" in body:
        return {**body, "env": _variables(body["env"])}
    return _variables(body)


def _variables(variables: Any) -> Any:
    """Keys once, none of EMCP's own, and each with a value, since nothing is stored that it could keep."""
    if not isinstance(variables, list):
        return variables
    by_key: dict[str, dict[str, Any]] = {}
    for item in variables:
        if item["key"].upper().startswith("EMCP_"):
            continue
        value = item.get("value")
        kept = value.replace("\0", "") if isinstance(value, str) else "value"
        by_key[item["key"]] = {**item, "value": kept}
    return list(by_key.values())
