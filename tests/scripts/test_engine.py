"""An engine that make starts by itself, after one that was killed."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from bash import caller, environment, run
from daemon import Daemon, new_home, remove_remains
from support.waits import until

DEADLINE_SECS = 60

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may start an engine")


@pytest.fixture
def home() -> Iterator[Path]:
    home = new_home()
    try:
        yield home
    finally:
        remove_remains(home)


def test_what_a_killed_engine_left_behind_does_not_stop_the_next(home: Path) -> None:
    engine = Daemon(home)
    engine.make_bridge()
    words = f"--data-root {home}/data --bridge {engine.bridge} --exec-root={home}/exec --pidfile {home}/docker.pid"
    words += " --iptables=false --ip6tables=false --ip-masq=false --ip-forward=false"
    settings = {"DOCKER_HOST": engine.host, "EMCP_DOCKERD_ARGS": words}
    script = caller(home / "up.sh", "STEPS=1", "step engine ensure_engine", sources=("host", "engine"))

    started = run([script], home, **settings)
    assert started.returncode == 0, started.stdout
    pid = int((home / "state/dockerd.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    status = Path(f"/proc/{pid}/status")
    until("the engine to end", lambda: not status.exists() or "State:\tZ" in status.read_text(), DEADLINE_SECS)
    # By now another process may have the numbers that are in the files.
    for file in (home / "docker.pid", home / "exec/containerd/containerd.pid"):
        assert file.exists()
        file.write_text(str(os.getpid()))

    again = run([script], home, **settings)
    assert again.returncode == 0, again.stdout
    client = subprocess.run(["docker", "--host", engine.host, "version"], capture_output=True, timeout=DEADLINE_SECS)
    assert client.returncode == 0


def test_the_number_of_an_engine_that_lives_stays(tmp_path: Path) -> None:
    shutil.copy("/bin/sleep", tmp_path / "dockerd")
    numbers = tmp_path / "docker.pid"
    script = caller(tmp_path / "up.sh", "forget_dead_engine", sources=("host", "engine"))
    settings = {"EMCP_DOCKERD_ARGS": f"--pidfile {numbers} --exec-root {tmp_path}/exec"}
    lives = subprocess.Popen([tmp_path / "dockerd", "600"], env=environment(tmp_path))
    try:
        numbers.write_text(str(lives.pid))
        assert "does not answer" in run([script], tmp_path, **settings).stdout
        assert numbers.exists()
    finally:
        lives.kill()
        lives.wait()
    run([script], tmp_path, **settings)
    assert not numbers.exists()
