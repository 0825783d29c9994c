"""The folder a file runs in: a copy of what was uploaded, where it may write.

On a laptop a file writes its log, its database and its caches beside itself. What was uploaded is
mounted read-only, so the file runs from a copy; relative paths and `__file__` find both. The copy is
gone with the container.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .contract import USER_FILE, WORK_DIR, Failure, log

# Names under which libraries look for a place of their own, below HOME.
_HOMES = {
    "XDG_CACHE_HOME": ".cache",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_STATE_HOME": ".local/state",
    "MPLCONFIGDIR": ".config/matplotlib",
    "NLTK_DATA": "nltk_data",
}


def enter(user_file: Path = USER_FILE, work_dir: Path = WORK_DIR) -> Path:
    """Makes the copy, goes there, and tells where the file is now."""
    _set_homes()
    try:
        shutil.copytree(user_file.parent, work_dir, dirs_exist_ok=True, copy_function=_copy)
        os.chdir(work_dir)
    except OSError as error:
        if error.errno is not None and os.access(work_dir.parent, os.W_OK):
            raise Failure("serve_failed", f"the file can't be copied to {work_dir}: {error.strerror}") from None
        # A container made by hand with nothing writable in it.
        log(f"{work_dir} can't be written: the file runs where nothing beside it is writable")
        os.chdir(user_file.parent)
        work_dir = user_file.parent
    sys.path.insert(0, str(work_dir))
    return work_dir / user_file.name


def _copy(source: str, target: str) -> None:
    # Without the mode of the original, which nobody may write.
    shutil.copyfile(source, target)


def _set_homes() -> None:
    home = Path(os.environ.get("HOME") or "/tmp")
    for name, below in _HOMES.items():
        os.environ.setdefault(name, str(home / below))
