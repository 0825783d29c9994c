"""Where code lies in the data directory: a folder for each content, named by a digest of it."""

import hashlib
from pathlib import Path
from typing import Any

Json = dict[str, Any]


def digits_of(sha256: str, size_bytes: int) -> str:
    """Of the bundle of one file: the SHA-256 of the line that says what is in it."""
    name = "server.py"
    manifest = f"emcp bundle 1\n{sha256} {size_bytes} {len(name)} {name}\n"
    return hashlib.sha256(manifest.encode()).hexdigest()


def folder_of(data_dir: Path, code: bytes) -> Path:
    digits = digits_of(hashlib.sha256(code).hexdigest(), len(code))
    return data_dir / "bundles" / digits[:2] / digits


def of_versions(versions: list[Json]) -> set[str]:
    """The bundles that these have, as the API tells them."""
    return {digits_of(version["sha256"], version["size_bytes"]) for version in versions}


def on_disk(data_dir: Path) -> set[str]:
    return {path.name for path in (data_dir / "bundles").glob("[0-9a-f][0-9a-f]/*")}
