"""Environments of the client drivers and downloaded packages, made when missing and kept in the cache."""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from .settings import E2E_DIR, REPO_DIR, cache_dir

INSTALL_TIMEOUT_SECS = 600
COMPLETE = ".complete"
SDISTS = E2E_DIR / "sdists.txt"
NODE_LIST = REPO_DIR / "scripts" / "node.txt"


def python_environment(requirements: Path) -> Path:
    """The interpreter of a virtual environment holding exactly these packages."""
    home = cache_dir() / "venvs" / _digest(requirements.read_bytes(), sys.version.encode())
    with _made_once(home) as missing:
        if missing:
            _run([sys.executable, "-m", "venv", str(home)])
            pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--require-hashes"]
            _run([*pip, "--requirement", str(requirements)])
    return home / "bin" / "python"


def node_clients() -> Path:
    """A directory with the TypeScript drivers beside the packages they import."""
    return node_packages(E2E_DIR / "ts")


def node_packages(source: Path) -> Path:
    """A directory with the packages of `source`'s lock file, and beside them its programs, which import them."""
    manifests = [source / "package.json", source / "package-lock.json"]
    home = cache_dir() / "node" / _digest(*(manifest.read_bytes() for manifest in manifests))
    with _made_once(home) as missing:
        if missing:
            home.mkdir(parents=True)
            for manifest in manifests:
                shutil.copy(manifest, home)
            _run(["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"], cwd=home)
        # Node resolves packages from where a module lies, so the drivers are copied beside them.
        for driver in source.glob("*.mjs"):
            copied = home / driver.name
            if not copied.exists() or copied.read_bytes() != driver.read_bytes():
                shutil.copy(driver, home)
    return home


def node(major: int) -> Path:
    """Node.js of this major version or a later one: the machine's own, else the one that PyPI carries."""
    found = shutil.which("node")
    if found and _node_major(found) >= major:
        return Path(found)
    carried = python_environment(NODE_LIST).with_name("node")
    if _node_major(str(carried)) < major:
        raise RuntimeError(f"Node {major} is needed; {NODE_LIST} names an older one")
    return carried


def _node_major(program: str) -> int:
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    return int(version.strip().removeprefix("v").partition(".")[0])


def source_distribution(name: str, version: str) -> Path:
    """The examples of a package's source distribution, as its authors published them (sdists.txt has its hash)."""
    home = cache_dir() / "sdists" / f"{name}-{version}"
    with _made_once(home) as missing:
        if missing:
            home.mkdir(parents=True)
            pinned = [line for line in SDISTS.read_text().splitlines() if line.startswith(f"{name}=={version} ")]
            wanted = home / "wanted.txt"
            wanted.write_text("".join(pinned))
            # pip asks the package's build system for its metadata. That is installed here already, by its hash:
            # an isolated build would fetch one without.
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-build-isolation"]
            _run([*pip, "--require-hashes", "--no-binary", name, "--dest", str(home), "--requirement", str(wanted)])
            archive = next(home.glob("*.tar.gz"))
            with tarfile.open(archive) as tar:
                examples = [member for member in tar if "/examples/" in member.name]
                tar.extractall(home, members=examples, filter="data")
            archive.unlink()
    return home / f"{name}-{version}"


@contextmanager
def _made_once(home: Path) -> Generator[bool]:
    """Yield whether `home` must be made. One process makes it; a half-made one is made anew."""
    home.parent.mkdir(parents=True, exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = not (home / COMPLETE).exists()
        if missing:
            shutil.rmtree(home, ignore_errors=True)
        yield missing
        (home / COMPLETE).touch()


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


def _run(command: list[str], cwd: Path | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=INSTALL_TIMEOUT_SECS
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout[-3000:]}")
