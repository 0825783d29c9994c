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

from .settings import E2E_DIR, cache_dir

INSTALL_TIMEOUT_SECS = 600
COMPLETE = ".complete"


def python_environment(requirements: Path) -> Path:
    """The interpreter of a virtual environment holding exactly these packages."""
    home = cache_dir() / "venvs" / _digest(requirements.read_bytes(), sys.version.encode())
    with _made_once(home) as missing:
        if missing:
            _run([sys.executable, "-m", "venv", str(home)])
            _run([str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--requirement", str(requirements)])
    return home / "bin" / "python"


def node_clients() -> Path:
    """A directory with the TypeScript drivers beside the packages they import."""
    source = E2E_DIR / "ts"
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


def source_distribution(name: str, version: str) -> Path:
    """The examples of a package's source distribution, as its authors published them."""
    home = cache_dir() / "sdists" / f"{name}-{version}"
    with _made_once(home) as missing:
        if missing:
            home.mkdir(parents=True)
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name]
            _run([*pip, "--dest", str(home), f"{name}=={version}"])
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
