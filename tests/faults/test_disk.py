"""A full disk, a limit on files, a folder that cannot be written, files harmed at every place, a
clock that was set back.
"""

import os
import random
import resource
import shutil
import subprocess
import time
from contextlib import contextmanager

import pytest

from neurosparse import store, sweep
from neurosparse.sweep import driver


@contextmanager
def small_disk(place, size):
    """A file system of a few bytes at `place`; to be made larger with `grow`."""
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount; the limit on the size of files is tested everywhere")
    try:
        yield
    finally:
        subprocess.run(["umount", str(place)], check=True)


def remount(place, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_full_disk_stops_the_sweep_and_with_room_it_goes_on(field, tmp_path, workers):
    place = tmp_path / "disk"
    with small_disk(place, "80k"):
        with pytest.raises(OSError, match="No space left on device"):
            sweep.run(field.spec, place / "sweep", workers=workers)
        assert store.failures(place / "sweep") == {}
        assert len(list(store.runs(place / "sweep"))) < len(field.rows)
        remount(place, "size=16m")
        field.check(place / "sweep")


def test_a_limit_on_the_size_of_files_stops_the_sweep_too(field, tmp_path):
    driver = field.start(
        tmp_path / "sweep",
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)),
    )
    _, errors = driver.communicate(timeout=300)
    assert driver.returncode == 1
    assert "OSError: " in errors
    assert "File too large" in errors.splitlines()[-1]
    assert "make room and run the sweep again" in errors.splitlines()[-1]
    field.check(tmp_path / "sweep")


def test_a_folder_that_cannot_be_written_is_refused_and_can_still_be_read(field, tmp_path):
    place = tmp_path / "disk"
    with small_disk(place, "16m"):
        shutil.copytree(field.undisturbed, place / "sweep")
        remount(place, "ro")
        with pytest.raises(OSError, match=r"cannot write .*sweep: Read-only file system"):
            sweep.run(field.spec, place / "sweep", workers=0)
        assert len(list(store.runs(place / "sweep"))) == len(field.rows)
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(OSError, match=r"cannot write .*: "):
        sweep.run(field.spec, file / "sweep", workers=0)


HARMS = {
    "cut off": lambda path: os.truncate(path, path.stat().st_size // 2),
    "emptied": lambda path: os.truncate(path, 0),
    "flipped": lambda path: path.write_bytes(
        bytes([path.read_bytes()[0] ^ 16]) + path.read_bytes()[1:]
    ),
    "gone": lambda path: path.unlink(),
}


@pytest.mark.parametrize("harm", HARMS)
def test_every_file_of_a_sweep_may_be_harmed(field, tmp_path, harm):
    shutil.copytree(field.undisturbed, tmp_path / "sweep")
    draw = random.Random(1)
    for path in sorted(p for p in (tmp_path / "sweep").rglob("*") if p.is_file()):
        if path.parent == tmp_path / "sweep" or draw.random() < 0.3:
            HARMS[harm](path)
    assert field.check(tmp_path / "sweep").n_before < len(field.rows)


def test_the_clock_does_not_matter(field, tmp_path, monkeypatch):
    shutil.copytree(field.undisturbed, tmp_path / "sweep")
    for k, path in enumerate(sorted((tmp_path / "sweep").rglob("*"))):
        os.utime(path, (4e9, 4e9) if k % 2 else (0, 0))
    for run in sorted((tmp_path / "sweep" / "runs").iterdir())[:2]:
        (run / "manifest.json").unlink()
    monkeypatch.setattr(time, "time", lambda: -1e6)
    assert field.check(tmp_path / "sweep").n_before == len(field.rows) - 2


def test_a_run_that_hangs_is_ended_and_can_be_tried_again(field, tmp_path):
    # of one seed: each run that is ended takes a process of its own
    hurried = field.spec.model_copy(update={"timeout_s": 0.001, "seeds": [1]})
    result = sweep.run(hurried, tmp_path, workers=1)
    assert len(result.failures) == 2
    assert {failure.error for failure in result.failures} == {
        "it took longer than timeout_s = 0.001"
    }
    field.check(tmp_path, retry_failed=True)


def test_a_worker_without_memory_is_a_failure_that_can_be_tried_again(field, tmp_path):
    starved = field.spec.model_copy(update={"memory_mb": 60.0, "attempts": 1, "seeds": [1]})
    result = sweep.run(starved, tmp_path, workers=1)
    assert len(result.failures) == 2
    field.check(tmp_path, retry_failed=True)


def test_a_sweep_that_is_stopped_leaves_no_lock(field, tmp_path, monkeypatch):
    def stopped(*_):
        (tmp_path / "locks" / ("0" * 32)).touch()  # as a worker does that is killed with the driver
        raise KeyboardInterrupt

    monkeypatch.setattr(driver, "_run_all", stopped)
    with pytest.raises(KeyboardInterrupt):
        sweep.run(field.spec, tmp_path, workers=0)
    assert list((tmp_path / "locks").iterdir()) == []
    monkeypatch.undo()
    field.check(tmp_path)
