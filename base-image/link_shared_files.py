"""Compiles both environments and stores the files they have in common once.

The environments share most packages at the same version. Hard links halve their size on disk, and
servers of both environments then share the same pages of memory.
"""

from __future__ import annotations

import filecmp
import os
import subprocess
from pathlib import Path

ROOT = Path("/opt/emcp")
FIRST, SECOND = ROOT / "mcp1", ROOT / "mcp2"


def compile_environment(root: Path) -> None:
    # Python sets the true path when it loads a file, so the compiled files of both environments can
    # be equal: the path written into them leaves the environment's name out. They are never checked
    # against the source, which does not change after the build.
    command = [str(root / "bin" / "python"), "-m", "compileall", "-q", "-f", "-j", "0"]
    command += ["--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", str(ROOT), str(root / "lib")]
    # Some packages ship templates or code for other Python versions that don't compile.
    subprocess.run(command, check=False)


def link_shared_files() -> int:
    saved_bytes = 0
    for first in FIRST.glob("lib/**/*"):
        second = SECOND / first.relative_to(FIRST)
        if first.is_symlink() or not first.is_file() or not second.is_file() or second.is_symlink():
            continue
        if first.samefile(second) or not filecmp.cmp(first, second, shallow=False):
            continue
        second.unlink()
        os.link(first, second)
        saved_bytes += first.stat().st_size
    return saved_bytes


if __name__ == "__main__":
    for environment in (FIRST, SECOND):
        compile_environment(environment)
    print(f"{link_shared_files() // 1_000_000} MB are shared by both environments")
