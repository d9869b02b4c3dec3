"""Jobs side by side: results, refusals, deaths, and no orphan whatever happens."""

import os
import pickle
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from neurosparse._internal.workers import WorkerError, run_side_by_side

# ---- jobs (a worker imports this file) ----


def count(progress, n=3):
    for k in range(n):
        progress(k / n, f"step {k}")
        time.sleep(0.01)
    return n


def refuse(progress):
    raise ValueError("tau_m_ms must be > 0, got -5.0")


def cannot_write(progress):
    raise PermissionError("cannot write /x: Permission denied")


def crash(progress):
    raise KeyError("a bug")


def die(progress):
    os.kill(os.getpid(), signal.SIGKILL)


def start_child(progress, note):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(note).write_text(str(child.pid))
    child.wait()


def quiet(*_):
    pass


# ---- helpers ----


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("waited in vain")
        time.sleep(0.02)


# ---- tests ----


def test_every_job_returns_and_reports():
    seen = []
    results = run_side_by_side(
        {"a": partial(count, n=4), "b": count}, lambda *message: seen.append(message)
    )
    assert results == {"a": 4, "b": 3}
    assert list(results) == ["a", "b"]
    assert [m for m in seen if m[0] == "a"] == [
        *(("a", k / 4, f"step {k}") for k in range(4)),
        ("a", 1.0, "done"),
    ]


@pytest.mark.parametrize(
    ("job", "error", "message"),
    [
        (refuse, ValueError, r"^tau_m_ms must be > 0, got -5.0$"),
        (cannot_write, OSError, r"^cannot write /x: Permission denied$"),
        (crash, WorkerError, "a bug"),
        (die, WorkerError, "SIGKILL"),
    ],
)
def test_what_goes_wrong_in_one_stops_the_others(job, error, message, tmp_path):
    note = tmp_path / "pid"
    with pytest.raises(error, match=message):
        run_side_by_side({"bad": job, "other": partial(start_child, note=str(note))}, quiet)
    wait_for(lambda: not note.exists() or not note.read_text() or not alive(int(note.read_text())))


def test_a_job_that_cannot_be_sent_is_the_error_that_is_seen():
    with pytest.raises(
        (AttributeError, TypeError, pickle.PicklingError), match=r"pickle|local object"
    ):
        run_side_by_side(
            {"other": partial(count, n=1000), "unsendable": lambda progress: None}, quiet
        )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_the_one_who_asked(how, tmp_path):
    note = tmp_path / "pid"
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom functools import"
        " partial\nimport test_workers as t\nif __name__ == '__main__':\n   "
        f" t.run_side_by_side({{'child': partial(t.start_child, note={str(note)!r})}}, t.quiet)\n"
    )
    script = tmp_path / "script.py"
    script.write_text(program)
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    wait_for(lambda: note.exists() and note.read_text())
    parent.send_signal(how)
    parent.wait(20)
    wait_for(lambda: not alive(int(note.read_text())))
