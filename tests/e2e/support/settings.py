"""What the suite takes from its environment. Nothing is guessed silently: pytest's header shows it all."""

import os
from pathlib import Path

E2E_DIR = Path(__file__).resolve().parents[1]
REPO_DIR = E2E_DIR.parents[1]


class MissingSetting(RuntimeError):
    """The environment does not say where a real part is."""


def _executable(variable: str, how: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        raise MissingSetting(f"set {variable} to {how}")
    path = Path(value).expanduser().resolve()
    if not os.access(path, os.X_OK):
        raise MissingSetting(f"{variable}={value} is not an executable file")
    return path


def emcp_bin() -> Path:
    return _executable("EMCP_BIN", "the emcp binary, for example target/debug/emcp after cargo build")


def traefik_bin() -> Path:
    return _executable("TRAEFIK_BIN", "a Traefik 3 binary; scripts/traefik-bin.sh gets one")


def base_image() -> str:
    return os.environ.get("EMCP_BASE_IMAGE", "corp/mcp-base:latest")


def docker_host() -> str:
    return os.environ.get("EMCP_DOCKER_HOST") or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"


def cache_dir() -> Path:
    """Environments, client packages and downloads that outlive a run; `make clean` removes them."""
    path = Path(os.environ.get("EMCP_CACHE_DIR", "~/.cache/emcp")).expanduser()
    path.mkdir(parents=True, exist_ok=True)
    return path
