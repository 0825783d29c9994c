"""What somebody tries who runs code in EMCP's own container. Runs there, with nothing but Python's own library.

Reads what it needs from `attack.json` beside itself, and writes what came of it to `outcome.json`.
"""

import ctypes
import hashlib
import json
import os
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


def digest_of(code: bytes) -> str:
    name = "server.py"
    manifest = f"emcp bundle 1\n{hashlib.sha256(code).hexdigest()} {len(code)} {len(name)} {name}\n"
    return hashlib.sha256(manifest.encode()).hexdigest()


def bundle(code: str = "") -> Path:
    """A folder of code as EMCP makes it, of which there is no other."""
    content = (code or f"{CODE}# {uuid.uuid4()}\n").encode()
    digits = digest_of(content)
    folder = HERE / "bundles" / digits[:2] / digits
    folder.mkdir(parents=True)
    (folder / "server.py").write_bytes(content)
    return folder


def run(folder: Path, **changes: Any) -> Any:
    spec: Json = {
        "server": str(uuid.uuid4()),
        "name": f"{FACTS['instance']}-{os.urandom(8).hex()}",
        "server_name": "demo",
        "instance": str(uuid.uuid4()),
        "generation": 1,
        "revision": 1,
        "egress": "open",
        "endpoint": FACTS["address"],
        "code": f"sha256:{folder.name}",
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
    code = bundle()
    bent = code.with_name("bent")
    bent.symlink_to("/etc")
    ends = threading.Event()

    def bend() -> None:
        while not ends.is_set():
            exchange(code, bent)

    bender = threading.Thread(target=bend)
    bender.start()
    try:
        return [run(code) for _ in range(RACES)]
    finally:
        ends.set()
        bender.join()


def mounts() -> Json:
    """Every way to what is no bundle of the platform's."""
    answers: Json = {}
    good = bundle()
    inside = good.relative_to(HERE)
    for code in ("/etc", "..", "broker", "", str(inside), f"sha256:{good.name}/../../../broker", good.name):
        answers[code] = run(good, code=code)
    answers["not there"] = run(HERE / "bundles" / "00" / digest_of(b"never written"))
    shots: Json = {"entry_object": "mcp", "runtime": "auto"}
    for code in ("/etc", str(inside), f"sha256:{digest_of(b'never written')}"):
        answers[f"check {code}"] = wish({"run_once": {"what": {"check": {"code": code, **shots}}, "patience_secs": 5}})
    for steps in (0, 1):
        code = bundle()
        replaced = (code, *code.parents)[steps]
        away = replaced.with_name(f"away-{steps}")
        replaced.rename(away)
        for target in (Path("/etc"), away):
            replaced.symlink_to(target)
            answers[f"link to {target}, {steps} above"] = run(code)
            replaced.unlink()
        away.rename(replaced)
    code = bundle()
    (code / "shadow").symlink_to("/etc/shadow")
    answers["link in code"] = run(code)
    code = bundle()
    (code / "server.py").write_text("print('altered')\n")
    answers["altered"] = run(code)
    code = bundle()
    (code / "more.py").write_text("")
    answers["more than was uploaded"] = run(code)
    victim = str(uuid.uuid4())
    (HERE / victim).mkdir()
    (HERE / victim / "storage").symlink_to(FACTS["victim_folder"])
    answers["link storage"] = run(bundle(), server=victim, disk_bytes=64 << 20)
    return answers


def specs() -> Json:
    """Fields that the broker does not know, and values that are none."""
    good = bundle()
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
    made = run(bundle())
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
