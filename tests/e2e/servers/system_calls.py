"""A server that asks the kernel for what it must not get, and does what honest servers do. Tells all as JSON."""

import asyncio
import ctypes
import errno
import json
import mmap
import os
import platform
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path

from mcp.server.fastmcp import FastMCP

mcp = FastMCP("System calls")

libc = ctypes.CDLL(None, use_errno=True)
MACHINE = platform.machine()
# arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h of the kernel.
NUMBERS: dict[str, dict[str, int]] = {
    "x86_64": {
        "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "personality": 135,
        "pivot_root": 155, "mount": 165, "umount2": 166, "swapon": 167, "acct": 163, "quotactl": 179,
        "chroot": 161, "sync": 162, "syncfs": 306, "add_key": 248, "request_key": 249, "keyctl": 250,
        "unshare": 272, "setns": 308, "vmsplice": 278, "tee": 276, "perf_event_open": 298,
        "fanotify_init": 300, "fanotify_mark": 301, "name_to_handle_at": 303, "open_by_handle_at": 304,
        "init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "reboot": 169,
        "bpf": 321, "userfaultfd": 323, "adjtimex": 159, "clock_settime": 227, "settimeofday": 164,
        "sethostname": 170, "setdomainname": 171, "remap_file_pages": 216, "mq_open": 240, "mq_unlink": 241,
        "io_setup": 206, "modify_ldt": 154, "iopl": 172, "ioperm": 173,
    },
    "aarch64": {
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272, "personality": 92,
        "pivot_root": 41, "mount": 40, "umount2": 39, "swapon": 224, "acct": 89, "quotactl": 60,
        "chroot": 51, "sync": 81, "syncfs": 267, "add_key": 217, "request_key": 218, "keyctl": 219,
        "unshare": 97, "setns": 268, "vmsplice": 75, "tee": 77, "perf_event_open": 241,
        "fanotify_init": 262, "fanotify_mark": 263, "name_to_handle_at": 264, "open_by_handle_at": 265,
        "init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "reboot": 142,
        "bpf": 280, "userfaultfd": 282, "adjtimex": 171, "clock_settime": 112, "settimeofday": 170,
        "sethostname": 161, "setdomainname": 162, "remap_file_pages": 234, "mq_open": 180, "mq_unlink": 181,
        "io_setup": 0,
    },
}  # fmt: skip
# The same on every machine: newer than the day on which the tables were made one.
NEWER = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438,
    "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "of the future": 4000,
}  # fmt: skip
MKNODAT, CLONE, SOCKET, SOCKETPAIR = {"x86_64": (259, 56, 41, 53), "aarch64": (33, 220, 198, 199)}[MACHINE]
CLONE_NEW = {
    "mounts": 0x00020000, "cgroup": 0x02000000, "names": 0x04000000, "ipc": 0x08000000, "user": 0x10000000,
    "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip
AT_FDCWD, SIGCHLD = -100, 17


def system_call(number: int, *arguments: int | bytes) -> str:
    """How the call ended. A child makes it, so that one that succeeds does no harm here."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        words = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments]
        ctypes.set_errno(0)
        result = libc.syscall(ctypes.c_long(number), *words)
        ended = "succeeded" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")
        os.write(writing, ended.encode())
        os._exit(0)
    os.close(writing)
    _, status = os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told:
        ended = told.read().decode()
    return f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else ended


@mcp.tool()
def refused_calls() -> str:
    """Each call that no Python server needs, with arguments that mean nothing."""
    return json.dumps({name: system_call(number, 0, 0, 0, 0, 0) for name, number in (NUMBERS[MACHINE] | NEWER).items()})


@mcp.tool()
def refused_namespaces() -> str:
    """A process with each namespace of its own."""
    return json.dumps({name: system_call(CLONE, flag | SIGCHLD, 0, 0, 0, 0) for name, flag in CLONE_NEW.items()})


@mcp.tool()
def refused_nodes() -> str:
    """A device, and a plain file made as one makes a device."""
    kinds = {"character": 0o020666, "block": 0o060666, "file": 0o100666}
    return json.dumps({kind: system_call(MKNODAT, AT_FDCWD, f"/tmp/{kind}".encode(), mode, 0x103) for kind, mode in kinds.items()})


@mcp.tool()
def sockets_made(wanted: dict[str, list[int]]) -> str:
    """Sockets of the family, type and protocol given."""
    return json.dumps({name: system_call(SOCKET, *numbers) for name, numbers in wanted.items()})


@mcp.tool()
def socket_pair(family: int) -> str:
    """A pair of sockets."""
    pair = ctypes.create_string_buffer(8)
    return json.dumps(system_call(SOCKETPAIR, family, 1, 0, ctypes.addressof(pair)))


# getpid and return, as a 32-bit program asks for it and as one for x32 does.
FOREIGN = {"i386": b"\xb8\x14\x00\x00\x00\xcd\x80\xc3", "x32": b"\xb8\x27\x00\x00\x40\x0f\x05\xc3"}


@mcp.tool()
def foreign_calls() -> str:
    """System calls by the two other doors of x86-64, where a filter by name does not look unless it is told to."""
    found = {}
    for name, code in FOREIGN.items() if MACHINE == "x86_64" else ():
        child = os.fork()
        if child == 0:
            memory = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            memory.write(code)
            address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            os._exit(0 if ctypes.CFUNCTYPE(ctypes.c_int)(address)() == os.getpid() else 1)
        _, status = os.waitpid(child, 0)
        found[name] = f"signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else f"exit {os.WEXITSTATUS(status)}"
    return json.dumps(found)


# --- what servers need -----------------------------------------------------------------------------------------------


POOLS = """
import multiprocessing as m
if __name__ == "__main__":
    for way in ("fork", "spawn", "forkserver"):
        with m.get_context(way).Pool(2) as pool:
            assert pool.map(abs, [-1, -2]) == [1, 2]
"""


async def talk() -> None:
    """A server, a client, a child and a file in a thread, on whichever loop runs this."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()
    child = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert await child.communicate(b"x") == (b"x", None)
    assert await asyncio.to_thread(Path("/proc/self/stat").read_text)
    await asyncio.get_running_loop().getaddrinfo("localhost", 80)


def loops() -> None:
    import uvloop

    asyncio.run(talk())
    uvloop.run(talk())


def pools() -> None:
    program = Path("/tmp/pools.py")
    program.write_text(POOLS)
    subprocess.run([sys.executable, str(program)], check=True, timeout=60)


def databases() -> None:
    with sqlite3.connect("/tmp/needs.db") as database:
        database.execute("pragma journal_mode = wal")
        database.execute("create table if not exists t (x)")


def numbers() -> None:
    import numpy
    import pandas

    assert (numpy.ones((300, 300)) @ numpy.ones((300, 300)))[0, 0] == 300
    assert len(pandas.DataFrame({"a": [1, 2]}).to_csv()) > 0


def memory() -> None:
    shared = shared_memory.SharedMemory(create=True, size=4096)
    shared.close()
    shared.unlink()
    os.close(os.memfd_create("needs"))
    twice = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: number * 2)
    assert twice(3) == 6


def interfaces() -> None:
    assert socket.if_nameindex()
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            try:
                socket.socket(family, kind).close()
            except OSError as error:
                if error.errno != errno.EAFNOSUPPORT:
                    raise
    for end in socket.socketpair():
        end.close()


def files() -> None:
    pipe = Path("/tmp/needs.pipe")
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    os.sync()
    os.close(os.pidfd_open(os.getpid()))
    subprocess.run("ls / | sort | head -n 1", shell=True, check=True, stdout=subprocess.DEVNULL)


@mcp.tool()
def needs() -> str:
    """What honest servers do, and how it failed."""
    found = {}
    works: list[Callable[[], None]] = [loops, pools, databases, numbers, memory, interfaces, files]
    for work in works:
        try:
            # A loop cannot be run where one runs already.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(work).result()
            found[work.__name__] = "works"
        except Exception as error:
            found[work.__name__] = repr(error)
    return json.dumps(found)
