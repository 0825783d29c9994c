"""The folder a file runs in: a copy of what was uploaded, where it may write.

On a laptop a file writes its log, its database and its caches beside itself. What was uploaded is
mounted read-only, so the file runs from a copy; relative paths and `__file__` find both. The copy is
gone with the container, unless the server has storage: then it is there, beside what the file has
written before, and only what was uploaded is replaced.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from .contract import USER_FILE, WORK_DIR, Failure, data_dir, log

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
    storage = data_dir()
    if storage is not None:
        code_dir = _enter_storage(user_file, work_dir, storage)
        sys.path.insert(0, str(code_dir))
        return code_dir / user_file.name
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


def _enter_storage(user_file: Path, work_dir: Path, storage: Path) -> Path:
    """Where the code is; the working directory is the storage in any case."""
    try:
        os.chdir(storage)
    except OSError as error:
        raise Failure("serve_failed", f"the server's storage can't be entered: {error.strerror}") from None
    try:
        for uploaded in user_file.parent.iterdir():
            _replace(uploaded, storage / uploaded.name)
        return storage
    except OSError as error:
        # It must start all the same: who else is to make room?
        log(f"warning: the code can't be put into {storage} ({error.strerror}); it runs from {work_dir}")
    try:
        shutil.copytree(user_file.parent, work_dir, dirs_exist_ok=True, copy_function=_copy)
    except OSError as error:
        raise Failure("serve_failed", f"the file can't be copied to {work_dir}: {error.strerror}") from None
    return work_dir


def _replace(source: Path, target: Path) -> None:
    """What stands under the name is replaced whole, and never written through, should it be a link."""
    beside = target.with_name(f".emcp-{target.name}")
    try:
        beside.unlink(missing_ok=True)
        shutil.copyfile(source, beside)
        os.replace(beside, target)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _copy(source: str, target: str) -> None:
    # Without the mode of the original, which nobody may write.
    shutil.copyfile(source, target)


def _set_homes() -> None:
    home = Path(os.environ.get("HOME") or "/tmp")
    for name, below in _HOMES.items():
        os.environ.setdefault(name, str(home / below))
