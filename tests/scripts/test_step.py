"""How a step that does not end well is told: a program that was ended is a failure, a signal to the script is not."""

import subprocess
from pathlib import Path

import pytest
from bash import caller, environment, run
from support.waits import until

DEADLINE_SECS = 60
CLEANUP = 'cleanup() { echo "cleanup: status $1, interrupted: ${INTERRUPTED:-no}" >&3; }'


@pytest.mark.parametrize(("signal", "status"), [("TERM", 143), ("INT", 130), ("KILL", 137)])
def test_a_program_that_was_ended_is_a_failure(tmp_path: Path, signal: str, status: int) -> None:
    ends = f"ends() {{ sh -c 'echo its last words; kill -{signal} $$'; }}"
    ran = run([caller(tmp_path / "up.sh", CLEANUP, ends, "STEPS=1", "step it ends")], tmp_path)
    assert ran.returncode == status
    assert "==> [1/1] it … failed" in ran.stdout and "its last words" in ran.stdout, ran.stdout
    assert "interrupted;" not in ran.stdout
    assert f"cleanup: status {status}, interrupted: no" in ran.stdout


def test_a_signal_to_the_script_interrupts_it(tmp_path: Path) -> None:
    waits = 'waits() { touch "$CACHE/waits"; until [[ -e $CACHE/never ]]; do sleep 0.1; done; }'
    script = caller(tmp_path / "up.sh", CLEANUP, waits, "STEPS=1", "step it waits")
    output = tmp_path / "output"
    with output.open("wb") as written:
        process = subprocess.Popen([script], env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=written, stderr=written)
    try:
        until("the step to begin", (tmp_path / "cache/waits").exists, DEADLINE_SECS)
        process.terminate()
        assert process.wait(DEADLINE_SECS) == 143
    finally:
        process.kill()
        process.wait()
    said = output.read_text()
    assert "make up: interrupted; it may simply be run again." in said
    assert "cleanup: status 143, interrupted: yes" in said
