"""Writes what EMCP is made of as CycloneDX 1.6 (JSON), and checks it against the schema.

    sbom.py binary OUTPUT            the crates in the emcp binary, and the modules of its dashboard
    sbom.py image IMAGE OUTPUT       the packages in the servers' image: Debian's and both Python environments'
    sbom.py check FILE…              whether files are valid CycloneDX

`make sbom` runs it (scripts/sbom.sh), in the environment of tests/lint/requirements.txt.
"""

# A decorator of the library's hides its classes from type checkers.
# pyright: reportCallIssue=false, reportAttributeAccessIssue=false, reportArgumentType=false, reportReturnType=false

import base64
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseAcknowledgement, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[1]
Json = dict[str, Any]
License = LicenseExpression | DisjunctiveLicense

LICENSES = LicenseFactory()
# Longer, and it is the licence's text rather than its name.
LICENSE_NAME_MAX = 100
# Asked in the image, by its own Python: what pip's metadata and dpkg say.
COLLECT = """
import json, pathlib, subprocess, sys
from importlib import metadata
def environment(name, paths):
    found = []
    for one in metadata.distributions(path=paths):
        said = one.metadata
        found.append({"name": said["Name"], "version": said["Version"], "environment": name,
                      "license": said["License-Expression"] or said["License"] or ""})
    return found
python = []
for home in sorted(pathlib.Path("/opt/emcp").glob("mcp*")):
    python += environment(home.name, [str(path) for path in home.glob("lib/python3*/site-packages")])
format_ = "${binary:Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\n"
debian = subprocess.run(["dpkg-query", "--show", "--showformat", format_], capture_output=True, text=True, check=True)
release = dict(line.strip().split("=", 1) for line in open("/etc/os-release") if "=" in line)
print(json.dumps({"python": python, "debian": [line.split("\\t") for line in debian.stdout.splitlines()],
                  "interpreter": sys.version.split()[0], "release": {k: v.strip('"') for k, v in release.items()}}))
"""


def licenses(said: str) -> list[License]:
    """What a package says of its licence: an SPDX expression, a name, or nothing to go by."""
    # Cargo took "MIT/Apache-2.0" for "or" before it took SPDX.
    text = re.sub(r"\s*/\s*", " OR ", said.strip())
    if not text or "\n" in text or len(text) > LICENSE_NAME_MAX:
        return []
    return [LICENSES.make_from_string(text, license_acknowledgement=LicenseAcknowledgement.DECLARED)]


def component(kind: str, name: str, version: str, **more: Any) -> Component:
    """A library with its package URL, which is its reference too."""
    namespace = more.pop("namespace", None)
    qualifiers = more.pop("qualifiers", None)
    purl = PackageURL(kind, namespace, name, version, qualifiers)
    return Component(
        type=ComponentType.LIBRARY, name=name, group=namespace, version=version, purl=purl, bom_ref=str(purl), **more
    )


# --- the binary ------------------------------------------------------------------------------------------------------


def cargo_metadata() -> Json:
    host = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    triple = re.findall(r"^host: (.+)$", host, re.MULTILINE)[0]
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", triple]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def checksums() -> dict[tuple[str, str], str]:
    # Python 3.10 has no TOML; cargo writes this file itself, in one form.
    entry = r'name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "([0-9a-f]{64})"\n'
    return {(name, version): sum_ for name, version, sum_ in re.findall(entry, (ROOT / "Cargo.lock").read_text())}


def binary_bom() -> Bom:
    """What cargo builds into the binary: dependencies for tests and for building are none of it."""
    metadata, sums = cargo_metadata(), checksums()
    packages = {one["id"]: one for one in metadata["packages"]}
    needs = {
        node["id"]: [dep["pkg"] for dep in node["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        for node in metadata["resolve"]["nodes"]
    }
    root = metadata["resolve"]["root"]
    reached, todo = {root}, [root]
    while todo:
        for need in needs[todo.pop()]:
            if need not in reached:
                reached.add(need)
                todo.append(need)
    made = {name: crate(packages[name], sums) for name in reached}
    made[root].type = ComponentType.APPLICATION
    bom = Bom(components=[made[name] for name in reached - {root}])
    bom.metadata.component = made[root]
    for name in reached:
        bom.register_dependency(made[name], [made[need] for need in needs[name]])
    modules = list(dashboard_modules())
    for module in modules:
        bom.components.add(module)
    bom.register_dependency(made[root], modules)
    return bom


def crate(package: Json, sums: dict[tuple[str, str], str]) -> Component:
    checksum = sums.get((package["name"], package["version"]))
    return component(
        "cargo",
        package["name"],
        package["version"],
        description=package["description"],
        licenses=licenses(package["license"] or ""),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def dashboard_modules() -> Iterable[Component]:
    """The modules of others that are embedded with the dashboard."""
    for place, one in json.loads((ROOT / "ui/package-lock.json").read_text())["packages"].items():
        if not place or one.get("dev"):
            continue
        scope, _, name = place.rpartition("node_modules/")[2].rpartition("/")
        algorithm, _, content = one["integrity"].partition("-")
        assert algorithm == "sha512", one
        yield component(
            "npm",
            name,
            one["version"],
            namespace=scope or None,
            licenses=licenses(one.get("license", "")),
            hashes=[HashType(alg=HashAlgorithm.SHA_512, content=base64.b64decode(content).hex())],
        )


# --- the image -------------------------------------------------------------------------------------------------------


def image_bom(image: str) -> Bom:
    run = ["docker", "run", "--rm", "--interactive", "--network", "none", "--entrypoint", "python3", image, "-I", "-"]
    found = json.loads(subprocess.run(run, input=COLLECT, stdout=subprocess.PIPE, text=True, check=True).stdout)
    identity = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Id}}", image], capture_output=True, text=True, check=True
    ).stdout.strip()
    bom = Bom()
    bom.metadata.component = Component(
        type=ComponentType.CONTAINER,
        name=image,
        version=identity,
        bom_ref=f"image:{identity}",
    )
    parts = [*debian_packages(found), *python_packages(found["python"])]
    parts.append(component("generic", "python", found["interpreter"], licenses=licenses("PSF-2.0")))
    for part in parts:
        bom.components.add(part)
    bom.register_dependency(bom.metadata.component, parts)
    return bom


def debian_packages(found: Json) -> Iterable[Component]:
    release = found["release"]
    distribution = f"{release['ID']}-{release['VERSION_ID']}"
    for name, version, architecture, source in found["debian"]:
        yield component(
            "deb",
            name.partition(":")[0],
            version,
            namespace=release["ID"],
            qualifiers={"arch": architecture, "distro": distribution},
            properties=[Property(name="emcp:source", value=source)],
        )


def python_packages(found: list[Json]) -> Iterable[Component]:
    """One component for each version; a property for each environment that has it."""
    versions: dict[tuple[str, str], list[Json]] = {}
    for one in found:
        versions.setdefault((re.sub(r"[-_.]+", "-", one["name"]).lower(), one["version"]), []).append(one)
    for (name, version), ones in sorted(versions.items()):
        yield component(
            "pypi",
            name,
            version,
            licenses=licenses(ones[0]["license"]),
            properties=[Property(name="emcp:environment", value=one["environment"]) for one in ones],
        )


# --- writing and checking --------------------------------------------------------------------------------------------


def problems_of(text: str) -> str | None:
    """What the schema of CycloneDX 1.6 has against it, in its strict form."""
    error = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    return None if error is None else str(error)


def write(bom: Bom, output: Path) -> None:
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    problems = problems_of(text)
    if problems:
        raise SystemExit(f"sbom: what was made is not valid CycloneDX: {problems}")
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text)
    print(f"{output}: {len(bom.components)} components")


def check(files: list[str]) -> None:
    for file in files:
        problems = problems_of(Path(file).read_text())
        if problems:
            raise SystemExit(f"sbom: {file} is not valid CycloneDX: {problems}")
        print(f"{file}: valid CycloneDX")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["binary", output]:
            write(binary_bom(), Path(output))
        case ["image", image, output]:
            write(image_bom(image), Path(output))
        case ["check", *files] if files:
            check(files)
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
