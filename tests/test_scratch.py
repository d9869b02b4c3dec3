"""Temporary folders: gone at the end, swept when their process was killed, never taken from the
living; and locks that nobody can be made to wait for.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from neurosparse._internal import locks, scratch
from neurosparse._internal.whole_files import check_file, check_writable, new_file, new_folder

HOLD = """
import pathlib, signal, sys, tempfile
from neurosparse._internal import scratch
from neurosparse._internal.whole_files import new_file, new_folder
with {maker} as place:
    (place / "half" if place.is_dir() else place).write_text("half")
    print(place, flush=True)
    signal.pause()
"""


def holding(maker: str, folder: Path) -> subprocess.Popen[str]:
    """A process that writes half of something into `folder`, says where, and waits."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD.format(maker=maker), str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )


def said(process: subprocess.Popen[str]) -> Path:
    assert process.stdout is not None
    return Path(process.stdout.readline().strip())


MAKERS = {
    "new_file(pathlib.Path(sys.argv[1]) / 'f.txt')": lambda folder: check_file(folder / "g"),
    "new_folder(pathlib.Path(sys.argv[1]) / 'r')": lambda folder: check_writable(
        folder / "s", marker="m"
    ),
    "scratch.temporary('work')": lambda folder: scratch.temporary("brian2").__enter__(),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_a_later_run_sweeps_what_was_killed_and_leaves_what_lives(
    maker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with holding(maker, tmp_path) as killed, holding(maker, tmp_path) as living:
        left, used = said(killed), said(living)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        assert left.exists()
        MAKERS[maker](tmp_path)
        assert not left.exists()
        assert used.exists()
        living.kill()
    scratch.clean_up()
    MAKERS[maker](tmp_path)
    scratch.clean_up()
    assert list(tmp_path.iterdir()) == []


def test_a_kill_between_the_two_renames_loses_neither_results(tmp_path: Path) -> None:
    with new_folder(tmp_path / "r") as folder:
        (folder / "a").write_text("old")
    code = """
import os, pathlib, signal, sys
from neurosparse._internal.whole_files import new_folder
rename, seen = pathlib.Path.rename, []
def killed(self, target):
    seen.append(1)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, target)
pathlib.Path.rename = killed
with new_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "a").write_text("new")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "r")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "r").exists()
    check_file(tmp_path / "another")  # any later writer in that place
    assert [p.name for p in tmp_path.iterdir()] == ["r"]
    assert (tmp_path / "r" / "a").read_text() == "old"


def test_what_looks_like_one_of_ours_and_is_none_stays(tmp_path: Path) -> None:
    (other := tmp_path / ".thesis.0123456789ab").mkdir()
    (tmp_path / "neurosparse-notes").mkdir()
    (link := tmp_path / ".x.0123456789ab.neurosparse").symlink_to(other)
    os.mkfifo(tmp_path / ".y.0123456789ab.neurosparse")
    (other / "chapter").write_text("years of work")
    with new_file(tmp_path / "f") as file:
        file.write_text("x")
    assert (other / "chapter").read_text() == "years of work"
    assert link.is_symlink()
    assert len(list(tmp_path.iterdir())) == 5


def test_a_pipe_under_a_name_of_ours_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    os.mkfifo(tmp_path / "neurosparse-brian2-abc")
    (tmp_path / "neurosparse-brian2-link").symlink_to("/")
    with scratch.temporary("brian2") as folder:
        assert folder.is_dir()
    os.mkfifo(tmp_path / "lock")
    with pytest.raises(OSError, match="not a plain file"):
        locks.lock_file(tmp_path / "lock")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        locks.lock_file(tmp_path / "link")
    assert not (tmp_path / "elsewhere").exists()


def test_a_folder_that_is_removed_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    lock, seen = scratch.lock_folder, []

    def taken_at_once(folder: Path, *, wait: bool = False) -> locks.Release:
        release = lock(folder, wait=wait)
        seen.append(folder)
        if len(seen) == 1:
            folder.rmdir()
        return release

    monkeypatch.setattr(scratch, "lock_folder", taken_at_once)
    with scratch.temporary("work") as folder:
        assert folder == seen[1]
        assert folder.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_forked_child_does_not_remove_what_is_its_parents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch.temporary("work") as folder:
        monkeypatch.setattr(os, "getpid", lambda: -1)
        scratch.clean_up()
        assert folder.is_dir()


def test_the_folder_that_one_is_in_is_filled_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here := tmp_path / "here").mkdir()
    (here / "m").write_text("old")
    monkeypatch.chdir(here)
    inode = here.stat().st_ino
    check_writable(Path(), marker="m")
    with new_folder(Path()) as folder:
        (folder / "m").write_text("new")
        (folder / "inner").mkdir()
    assert Path.cwd() == here
    assert here.stat().st_ino == inode
    assert sorted(p.name for p in here.iterdir()) == ["inner", "m"]
    assert (here / "m").read_text() == "new"
    assert list(tmp_path.iterdir()) == [here]
    monkeypatch.chdir(here / "inner")
    with pytest.raises(FileExistsError, match="you are working in it"):
        check_writable(here, marker="m")


def test_parents_that_were_made_for_nothing_go_again(tmp_path: Path) -> None:
    check_writable(tmp_path / "a" / "b" / "c", marker="m")
    with pytest.raises(KeyboardInterrupt), new_folder(tmp_path / "a" / "b" / "c"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


WITHOUT = """
import sys
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
import pathlib
import neurosparse.store, neurosparse.sweep, neurosparse.sidebyside
from neurosparse import store
from neurosparse._internal import locks, scratch
from neurosparse._internal.whole_files import new_file, new_folder
assert locks.fcntl is None
place = pathlib.Path(sys.argv[1])
store.open_directory(place / "store")
key = store.key("probe", {}, "x")
with store.claim(place / "store", key) as ours, store.claim(place / "store", key) as theirs:
    assert ours is not None and theirs is None
with store.claim(place / "store", key) as again:
    assert again is not None
with new_folder(place / "r") as folder:
    (folder / "a").write_text("x")
with new_file(place / "f") as file:
    file.write_text("x")
with scratch.temporary("work") as folder:
    assert folder.is_dir()
assert not folder.exists()
print(sorted(str(p.relative_to(place)) for p in place.rglob("*") if p.is_file()))
"""


def test_without_fcntl_and_resource_locks_come_from_filelock(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "['f', 'r/a']\n"
