"""Makes a block device of the file in which a server keeps what outlives its containers.

Runs as root in a container of its own, which has the file's folder, the host's loop devices and nothing
else (`src/runtime/docker/disk.rs`). It says on one line which device it is, and holds it until it is
ended: by then the server's container has it mounted, and the kernel gives it up with that.

Nothing of what is in the file system is read here, and it is not mounted.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import NoReturn

STORAGE = Path("/storage")
DEVICES = Path("/host/dev")
# The container's user (Dockerfile).
OWNER = "10001:10001"
# EMCP has started the server's container by then, or given up.
HOLD_SECS = 120
# For the container before, of which the kernel may not have let go yet.
RELEASE_SECS = 20

# linux/loop.h
LOOP_SET_FD = 0x4C00
LOOP_SET_STATUS64 = 0x4C04
LOOP_GET_STATUS64 = 0x4C05
LOOP_CTL_GET_FREE = 0x4C82
LO_FLAGS_AUTOCLEAR = 4
# struct loop_info64: device, inode, rdevice, offset, sizelimit, number, encrypt_type, encrypt_key_size,
# flags, file_name, crypt_name, encrypt_key, init[2].
LOOP_INFO = struct.Struct("=QQQQQIIII64s64s32sQQ")
LOOP_MAJOR = 7

# ext4, where its superblock is, and what it says there (Documentation/filesystems/ext4).
SUPERBLOCK = 1024
MAGIC = (56, b"\x53\xef")
BLOCK_BYTES = 4096
# Blocks come in groups of so many bytes, each with so many inodes: as bounded as bytes, and more with
# each group when it grows.
GROUP_BYTES = 128 * 1024 * 1024
GROUP_INODES = 8192
# Written out, so that every version of mke2fs makes what every kernel since 4.19 reads.
FORMAT = [
    *("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK_BYTES), "-I", "256", "-m", "0", "-e", "remount-ro"),
    "-O",
    "none,has_journal,ext_attr,resize_inode,dir_index,filetype,extent,64bit,flex_bg,sparse_super,"
    "large_file,huge_file,dir_nlink,extra_isize,metadata_csum",
    # The file is new and reads as zeros; what `nodiscard` keeps is the room that was set aside.
    *("-E", f"nodiscard,lazy_itable_init=1,lazy_journal_init=1,root_owner={OWNER}"),
]


class DiskError(Exception):
    """Why there is no disk, in words for whoever reads the server's failure."""


def main(size: int, storage: Path = STORAGE, devices: Path = DEVICES) -> NoReturn:
    try:
        device, _held = open_disk(storage, devices, size)
    except DiskError as error:
        _say({"error": str(error)})
        sys.exit(1)
    except OSError as error:
        _say({"error": f"{error.strerror} ({error.filename})" if error.filename else str(error.strerror)})
        sys.exit(1)
    _say({"device": device})
    time.sleep(HOLD_SECS)
    sys.exit()


def open_disk(storage: Path, devices: Path, size: int) -> tuple[str, int]:
    """The device's name on the host, and the descriptor that keeps it."""
    folder = os.open(storage, os.O_RDONLY)
    # Two helpers of one server must not both find the file unused.
    fcntl.flock(folder, fcntl.LOCK_EX)
    try:
        disk = storage / "disk"
        if not disk.exists():
            _make(storage / "disk.new", disk, size)
            _grant(storage, size)
            os.fsync(folder)
        image = os.open(disk, os.O_RDWR)
        try:
            wanted = os.fstat(image)
            deadline = time.monotonic() + RELEASE_SECS
            # Mounted twice under two names, a file system is lost: one that is in use is used on.
            while (found := _attached(devices, wanted)) is not None:
                if _granted(storage) == size:
                    return found
                os.close(found[1])
                if time.monotonic() > deadline:
                    raise DiskError("it is still in use, and can't grow; stop what has it mounted")
                time.sleep(0.1)
            if _granted(storage) == size:
                _check(disk, "-p")
            else:
                _grow(disk, image, size)
                _grant(storage, size)
                os.fsync(folder)
            return _attach(devices, image)
        finally:
            os.close(image)
    finally:
        os.close(folder)


def _make(unfinished: Path, disk: Path, size: int) -> None:
    """The file was made by EMCP, whose it stays. It gets its name once it is whole."""
    image = os.open(unfinished, os.O_RDWR)
    try:
        os.ftruncate(image, 0)
        _set_aside(image, size)
        groups = -(-size // GROUP_BYTES)
        _run([*FORMAT, "-N", str(groups * GROUP_INODES), str(unfinished)])
        _remove_lost_and_found(unfinished)
        os.fsync(image)
    finally:
        os.close(image)
    unfinished.rename(disk)


def _granted(storage: Path) -> int | None:
    """The size that was asked for last; the file itself may be a little smaller, as file systems come in blocks."""
    try:
        return int((storage / "granted").read_text())
    except (FileNotFoundError, ValueError):
        # Brought back from a backup, say.
        return None


def _grant(storage: Path, size: int) -> None:
    beside = storage / "granted.new"
    beside.write_text(str(size))
    beside.rename(storage / "granted")


def _grow(disk: Path, image: int, size: int) -> None:
    """Made again from its beginning where it was cut short."""
    if size > os.fstat(image).st_size:
        _set_aside(image, size)
    _check(disk, "-f", "-p")
    _run(["resize2fs", str(disk)])
    _remove_lost_and_found(disk)
    os.fsync(image)


def _set_aside(image: int, size: int) -> None:
    """Takes the room on the host's disk, so that no other can take it away later."""
    before = os.fstat(image).st_size
    try:
        os.posix_fallocate(image, 0, size)
    except OSError as error:
        # What it got of it before there was no more.
        os.ftruncate(image, before)
        if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise DiskError(
                f"the data directory's disk has no room for {size} bytes; free some, and start the server again"
            ) from None
        raise


def _check(disk: Path, *options: str) -> None:
    _require_ext4(disk)
    # 1: mended. It replays the journal, and is quick where nothing is wrong.
    _run(["e2fsck", *options, str(disk)], good=(0, 1))


def _require_ext4(disk: Path) -> None:
    with disk.open("rb") as file:
        file.seek(SUPERBLOCK + MAGIC[0])
        if file.read(len(MAGIC[1])) != MAGIC[1]:
            raise DiskError("what is in its file is no file system; restore a backup, or delete the server")


def _remove_lost_and_found(disk: Path) -> None:
    # The user's folder is to be empty; e2fsck makes it anew when it needs it. Removes nothing that is not empty.
    _run(["debugfs", "-w", "-R", "rmdir lost+found", str(disk)])


def _run(command: list[str], good: tuple[int, ...] = (0,)) -> None:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
    try:
        done = subprocess.run(command, capture_output=True, text=True, env={"PATH": path, "LANG": "C.UTF-8"}, check=False)
    except FileNotFoundError:
        raise DiskError(f"the base image has no {command[0]} (package e2fsprogs)") from None
    if done.returncode not in good:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise DiskError(f"{command[0]} failed ({done.returncode}): {' '.join(said[-3:])[:500]}")


def _attached(devices: Path, wanted: os.stat_result) -> tuple[str, int] | None:
    """The device that has this file already, held open."""
    for path in sorted(devices.glob("loop[0-9]*")):
        try:
            device = os.open(path, os.O_RDWR)
        except OSError:
            continue
        info = _info(device)
        if info is not None and (info[0], info[1]) == (wanted.st_dev, wanted.st_ino):
            # However it came to be: it goes with its last user.
            _set_info(device, int(path.name.removeprefix("loop")))
            return f"/dev/{path.name}", device
        os.close(device)
    return None


def _attach(devices: Path, image: int) -> tuple[str, int]:
    try:
        control = os.open(devices / "loop-control", os.O_RDWR)
    except OSError as error:
        raise DiskError(
            f"the host has no loop devices ({error.strerror}), which storage needs: load the kernel's module loop"
        ) from None
    try:
        while True:
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            device = _open_device(devices / f"loop{number}")
            try:
                fcntl.ioctl(device, LOOP_SET_FD, image)
                _set_info(device, number)
                return f"/dev/loop{number}", device
            except OSError as error:
                os.close(device)
                # Somebody else was quicker.
                if error.errno != errno.EBUSY:
                    raise
    finally:
        os.close(control)


def _open_device(path: Path) -> int:
    """A new device's name may take the host a moment to appear."""
    deadline = time.monotonic() + RELEASE_SECS
    while True:
        try:
            device = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            if time.monotonic() > deadline:
                raise DiskError(f"the host has no /dev/{path.name}; it needs as many loop devices as servers have storage") from None
            time.sleep(0.05)
            continue
        if os.major(os.fstat(device).st_rdev) != LOOP_MAJOR or not stat.S_ISBLK(os.fstat(device).st_mode):
            os.close(device)
            raise DiskError(f"/dev/{path.name} is no loop device")
        return device


def _info(device: int) -> tuple[int, ...] | None:
    buffer = bytearray(LOOP_INFO.size)
    try:
        fcntl.ioctl(device, LOOP_GET_STATUS64, buffer)
    except OSError:
        return None
    return LOOP_INFO.unpack(buffer)


def _set_info(device: int, number: int) -> None:
    info = LOOP_INFO.pack(0, 0, 0, 0, 0, number, 0, 0, LO_FLAGS_AUTOCLEAR, b"", b"", b"", 0, 0)
    fcntl.ioctl(device, LOOP_SET_STATUS64, info)


def _say(what: dict[str, str]) -> None:
    print(json.dumps(what, ensure_ascii=False), flush=True)
