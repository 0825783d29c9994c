"""One at a time, whoever runs it; and every run keeps its logs."""

import fcntl
import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bash import SCRIPTS, caller, environment, run
from support.waits import until

DEADLINE_SECS = 60
WAITS = "Another make is at work on this machine"
NOBODY = 65534


@contextmanager
def started(command: list[str | Path], folder: Path, output: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    with output.open("wb") as written:
        process = subprocess.Popen(
            command, env=environment(folder, **more), stdin=subprocess.DEVNULL, stdout=written, stderr=written
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    "command", [["up.sh"], ["down.sh"], ["clean.sh"], ["image.sh"], ["firewall.sh", "remove"]], ids=lambda each: each[0]
)
def test_the_second_says_that_it_waits(tmp_path: Path, command: list[str]) -> None:
    if command[0] == "firewall.sh" and os.geteuid() != 0:
        pytest.skip("only root may change the firewall")
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        output = tmp_path / "output"
        # Would it not wait, it would change nothing: it is ended before it may go on.
        settings = {"EMCP_INSTANCE": "emcp-test-nobody", "EMCP_FIREWALL_PREFIX": "EMCP-TEST", "EMCP_INSTALL": "no"}
        with started([SCRIPTS / command[0], *command[1:]], tmp_path, output, **settings) as waiting:
            until("it to say so", lambda: WAITS in output.read_text(), DEADLINE_SECS)
            assert waiting.poll() is None
            # It can be interrupted meanwhile.
            waiting.terminate()
            assert waiting.wait(DEADLINE_SECS) == 143
    assert "==>" not in output.read_text()


def test_it_goes_on_when_the_first_has_ended(tmp_path: Path) -> None:
    script = caller(tmp_path / "down.sh", "lock_machine", "echo went on")
    output = tmp_path / "output"
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with started([script], tmp_path, output) as waiting:
            until("it to say so", lambda: WAITS in output.read_text(), DEADLINE_SECS)
            fcntl.flock(lock, fcntl.LOCK_UN)
            assert waiting.wait(DEADLINE_SECS) == 0
    assert output.read_text().splitlines()[-1] == "went on"


def test_what_outlives_a_step_does_not_hold_the_lock(tmp_path: Path) -> None:
    leave = 'leave() { sleep 600 3>&- 4>&- & echo $! >"$CACHE/left"; }'
    run([caller(tmp_path / "up.sh", leave, "lock_machine", "STEPS=1", "step leave leave")], tmp_path)
    left = int((tmp_path / "cache/left").read_text())
    try:
        os.kill(left, 0)
        assert WAITS not in run([caller(tmp_path / "down.sh", "lock_machine")], tmp_path).stdout
    finally:
        os.kill(left, 9)


def test_all_users_of_the_machine_share_one_lock(tmp_path: Path) -> None:
    """A file that the other one owns may not even be opened for writing (fs.protected_regular)."""
    if os.geteuid() != 0:
        pytest.skip("takes two users")
    script = caller(tmp_path / "down.sh", "lock_file")
    files = set()
    for user in (0, NOBODY):
        folder = tmp_path / str(user)
        folder.mkdir()
        os.chown(folder, user, user)
        names = environment(folder, HOME=str(folder))
        del names["EMCP_LOCK_FILE"]
        # The scripts themselves may lie where nobody else may look.
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "bash", "-c", script_text(script)]
        files.add(subprocess.run(command, env=names, cwd="/", capture_output=True, text=True, check=True).stdout.strip())
    (found,) = files
    assert stat.S_IMODE(Path(found).parent.stat().st_mode) == 0o1777
    # One that root has made is taken by the other user all the same.
    shared = Path(found).parent / f"emcp-test-{os.getpid()}.lock"
    shared.touch(mode=0o644)
    try:
        with shared.open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            took = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "bash", "-c"]
            take = f'exec 7<"{shared}"; flock -n 7 && echo taken || echo waits'
            assert subprocess.run([*took, take], capture_output=True, text=True, cwd="/").stdout == "waits\n"
    finally:
        shared.unlink()


def script_text(script: Path) -> str:
    """The lock's functions alone, for a user who may not read the checkout."""
    lines = (SCRIPTS / "lib.sh").read_text().splitlines()
    begin = lines.index("lock_file() {")
    end = lines.index("}", begin)
    assert script.exists()
    return "\n".join([*lines[begin : end + 1], "lock_file"])


def test_logs_of_other_runs_stay(tmp_path: Path) -> None:
    script = caller(tmp_path / "up.sh", "STEPS=1", 'step hello echo "$RUN"')
    for run_name in ("first", "second"):
        assert run([script], tmp_path, RUN=run_name).returncode == 0
    logs = tmp_path / "cache/log/up"
    said = sorted(log.read_text().strip() for log in logs.glob("20*/01-hello.log"))
    assert said == ["first", "second"]
    assert (logs / "latest/01-hello.log").read_text().strip() == "second"


def test_old_logs_go_but_not_those_of_a_run_that_goes_on(tmp_path: Path) -> None:
    script = caller(tmp_path / "up.sh", "STEPS=1", "step hello true")
    logs = tmp_path / "cache/log/up"
    gone = subprocess.Popen(["true"])
    gone.wait()
    names = [f"20000101T0000{second:02}-{gone.pid}" for second in range(20)] + [f"20000101T000000-{os.getpid()}"]
    for name in names:
        (logs / name).mkdir(parents=True)
    assert run([script], tmp_path).returncode == 0
    left = {each.name for each in logs.glob("20*-*")}
    assert f"20000101T000000-{os.getpid()}" in left
    assert len(left) == 11, left
