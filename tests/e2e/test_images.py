"""Images of others by their digest: the real scripts, against a registry whose tag comes to name something else."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from support.docker import docker
from support.owner import new_name
from support.settings import docker_host

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Registry:
    """One repository, as the OCI Distribution Specification has it, for reading alone."""

    def __init__(self, repository: str) -> None:
        self.contents: dict[str, bytes] = {}
        self.tags: dict[str, str] = {}
        registry = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                name = self.path.removeprefix(f"/v2/{repository}/").partition("/")[2]
                content = registry.contents.get(registry.tags.get(name, name))
                if self.path == "/v2/":
                    content = b"{}"
                self.send_response(404 if content is None else 200)
                if "/manifests/" in self.path and content is not None:
                    self.send_header("Content-Type", MANIFEST)
                    self.send_header("Docker-Content-Digest", digest(content))
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content or b"")

            do_HEAD = do_GET

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.image = f"127.0.0.1:{self.server.server_address[1]}/{repository}:1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def publish(self, tag: str, says: str) -> str:
        """An image with this label becomes the tag's. Returns its digest."""
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            entry = tarfile.TarInfo("says")
            entry.size = len(says)
            tar.addfile(entry, io.BytesIO(says.encode()))
        layer = gzip.compress(packed.getvalue(), mtime=0)
        config = json.dumps(
            {
                "architecture": "amd64",
                "os": "linux",
                "config": {"Labels": {"says": says}},
                "rootfs": {"type": "layers", "diff_ids": [digest(packed.getvalue())]},
            }
        ).encode()
        parts = [("container.image.v1+json", config), ("image.rootfs.diff.tar.gzip", layer)]
        described = [
            {"mediaType": f"application/vnd.docker.{kind}", "size": len(content), "digest": digest(content)}
            for kind, content in parts
        ]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:]}
        manifest = json.dumps(document).encode()
        for content in (config, layer, manifest):
            self.contents[digest(content)] = content
        self.tags[tag] = digest(manifest)
        return digest(manifest)


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry(new_name())
    yield made
    made.server.shutdown()
    name = made.image.rpartition(":")[0]
    left = docker("image", "ls", "--quiet", "--filter", f"reference={name}").split()
    if left:
        docker("image", "rm", "--force", *set(left))


@pytest.fixture
def digests(tmp_path: Path) -> Path:
    file = tmp_path / "digests.txt"
    file.write_text("# none yet\n")
    return file


def run(digests: Path, command: list[str]) -> str:
    environment = {
        **os.environ,
        "DOCKER_HOST": docker_host(),
        "IMAGE_DIGESTS": str(digests),
        "EMCP_CACHE_DIR": str(digests.parent),
        "EMCP_INSTALL": "no",
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def ensure(digests: Path, image: str) -> str:
    """What `make up` does for an image. A stand-in is not made here."""
    script = (
        'source "$ROOT/scripts/lib.sh"; source "$ROOT/scripts/host.sh"; source "$ROOT/scripts/engine.sh"; '
        'source "$ROOT/scripts/images.sh"; no_standin() { echo "would make a stand-in"; exit 3; }; '
        'ensure_image "$1" no_standin; echo "$STEP_DETAIL"'
    )
    return run(digests, ["env", f"ROOT={ROOT}", "bash", "-c", script, "images", image])


def says(image: str) -> str:
    return docker("image", "inspect", "--format", "{{index .Config.Labels `says`}}", image).strip()


def test_a_recorded_image_stays_what_it_was_when_its_tag_moves(registry: Registry, digests: Path) -> None:
    recorded = registry.publish("1", "what was tested")
    run(digests, [str(ROOT / "scripts/pin-images.sh"), registry.image])
    assert f"{registry.image} {recorded}\n" in digests.read_text()
    docker("image", "rm", "--force", registry.image)
    registry.publish("1", "something else")
    ensure(digests, registry.image)
    assert says(registry.image) == "what was tested"


def test_what_is_here_under_the_tag_is_replaced_by_what_is_recorded(registry: Registry, digests: Path) -> None:
    registry.publish("1", "something else")
    assert "pulled" in ensure(digests, registry.image)
    assert says(registry.image) == "something else", "without a digest the tag is taken"
    recorded = registry.publish("1", "what was tested")
    digests.write_text(f"{registry.image} {recorded}\n")
    assert f"@{recorded}" in ensure(digests, registry.image)
    assert says(registry.image) == "what was tested"
    # And then nothing is asked for.
    registry.contents.clear()
    assert ensure(digests, registry.image).strip() == ""


def test_content_that_is_not_the_recorded_digests_is_refused(registry: Registry, digests: Path) -> None:
    # Nobody's before: an engine keeps the manifests that it has seen, and then has no need to ask.
    recorded = registry.publish("1", f"what was tested as {registry.image}")
    other = registry.publish("1", "something else")
    registry.contents[recorded] = registry.contents[other]
    digests.write_text(f"{registry.image} {recorded}\n")
    with pytest.raises(AssertionError, match="would make a stand-in"):
        ensure(digests, registry.image)
