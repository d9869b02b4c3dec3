"""Files appear whole or not at all: errors, signals, full disks, folders that cannot be written,
rivals.
"""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from neurosparse._internal.whole_files import check_writable, new_file, new_folder


def left(folder: Path) -> list[str]:
    """All that lies in a folder, hidden files included."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def fill(path: Path, text: str = "new") -> None:
    with new_file(path) as file:
        file.write_text(text)


def fill_folder(path: Path, text: str = "new") -> None:
    with new_folder(path) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a.txt").write_text(text)
        (folder / "b.txt").write_text(text)


# ---- When all goes well
# --------------------------------------------------------------------------------------------------


def test_a_file_appears_with_its_parents(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.txt"
    with new_file(path) as file:
        assert file.suffix == ".txt"  # writers choose the format by it
        file.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert left(tmp_path) == ["a", "a/b", "a/b/c.txt"]
    fill(path, "y")
    assert path.read_text() == "y"


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    fill_folder(tmp_path / "r")
    (tmp_path / "r" / "earlier.txt").write_text("x")
    fill_folder(tmp_path / "r", "newer")
    assert left(tmp_path) == ["r", "r/b.txt", "r/inner", "r/inner/a.txt"]
    assert (tmp_path / "r" / "b.txt").read_text() == "newer"


def test_a_link_keeps_pointing_where_it_does(tmp_path: Path) -> None:
    fill_folder(tmp_path / "run1")
    (tmp_path / "latest").symlink_to("run1")
    fill_folder(tmp_path / "latest", "newer")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "run1" / "b.txt").read_text() == "newer"
    assert {p.name for p in tmp_path.iterdir()} == {"run1", "latest"}


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_the_umask_decides_who_may_read(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        # some writers put a private file of their own in its place
        with new_file(tmp_path / "f") as file:
            file.unlink()
            file.touch(mode=0o600)
        fill_folder(tmp_path / "r")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o666 & ~mask
    assert stat.S_IMODE((tmp_path / "r").stat().st_mode) == 0o777 & ~mask


def test_long_names(tmp_path: Path) -> None:
    fill(tmp_path / ("x" * 240 + ".txt"))
    fill_folder(tmp_path / ("y" * 250))
    assert len(list(tmp_path.iterdir())) == 2


# ---- When it does not
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, MemoryError])
@pytest.mark.parametrize("earlier", [False, True])
def test_an_error_leaves_what_was_there(
    tmp_path: Path, error: type[BaseException], earlier: bool
) -> None:
    if earlier:
        fill(tmp_path / "f", "old")
        fill_folder(tmp_path / "r", "old")
    before = left(tmp_path)

    def half_a_file() -> None:
        with new_file(tmp_path / "f") as file:
            file.write_text("half")
            raise error

    def half_a_folder() -> None:
        with new_folder(tmp_path / "r") as folder:
            (folder / "b.txt").write_text("half")
            raise error

    for write in (half_a_file, half_a_folder):
        with pytest.raises(error):
            write()
    assert left(tmp_path) == before
    if earlier:
        assert (tmp_path / "f").read_text() == (tmp_path / "r" / "b.txt").read_text() == "old"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_an_error_between_the_two_renames_brings_the_earlier_folder_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    fill_folder(tmp_path / "r", "old")
    before, rename = left(tmp_path), Path.rename

    def interrupted(self: Path, target: Path) -> Any:
        if (self / "b.txt").read_text() == "new":
            raise error("now")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(error, match="now"):
        fill_folder(tmp_path / "r")
    assert left(tmp_path) == before
    assert (tmp_path / "r" / "b.txt").read_text() == "old"


def child(code: str, *arguments: Any, **options: Any) -> subprocess.Popen[str]:
    start = (
        "import os, pathlib, resource, signal, sys\nfrom neurosparse._internal.whole_files"
        " import *\n"
    )
    command = [sys.executable, "-c", start + code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )


@pytest.mark.parametrize("maker", ["new_file", "new_folder"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_process_leaves_nothing_of_the_final_name(
    tmp_path: Path, maker: str, how: signal.Signals
) -> None:
    code = f"""
with {maker}(pathlib.Path(sys.argv[1])) as p:
    (p / "a" if p.is_dir() else p).write_text("half")
    print("half", flush=True)
    signal.pause()
"""
    with child(code, tmp_path / "result") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half\n"
        process.send_signal(how)
    assert process.returncode != 0
    assert not (tmp_path / "result").exists()
    if how == signal.SIGINT:
        assert left(tmp_path) == []


@pytest.mark.parametrize("maker", ["new_file", "new_folder"])
def test_a_full_disk_names_the_path_and_leaves_nothing(tmp_path: Path, maker: str) -> None:
    # A file-size limit fails in the middle of a write as a full disk does.
    code = f"""
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    with {maker}(pathlib.Path(sys.argv[1])) as p:
        (p / "a" if p.is_dir() else p).write_bytes(bytes(5000))
except OSError as error:
    print(error)
"""
    with child(code, tmp_path / "result") as process:
        out, err = process.communicate()
    assert (out, err) == (f"cannot write {tmp_path / 'result'}: File too large\n", "")
    assert left(tmp_path) == []


@pytest.fixture
def locked() -> Iterator[Path]:
    """A folder that nobody but root may write, where an unprivileged process can reach it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o555)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "call",
    [
        "new_file(path).__enter__()",
        "new_folder(path).__enter__()",
        "check_writable(path, marker='m')",
    ],
)
@pytest.mark.parametrize("below", ["result", "a/b/result"])
def test_a_folder_that_cannot_be_written(locked: Path, call: str, below: str) -> None:
    code = f"""
if os.getuid() == 0:
    os.setuid(65534)
path = pathlib.Path(sys.argv[1])
try:
    {call}
except PermissionError as error:
    print(error)
"""
    with child(code, locked / below) as process:
        out, err = process.communicate()
    assert (out, err) == (f"cannot write {locked / below}: Permission denied\n", "")
    assert left(locked) == []


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    enter: list[Callable[[Path], Any]] = [
        fill,
        fill_folder,
        lambda path: check_writable(path, marker="m"),
    ]
    for act in enter:
        with pytest.raises(
            OSError, match=r"^cannot write .*f/result: (Not a directory|File exists)$"
        ):
            act(tmp_path / "f" / "result")


def test_a_file_where_a_folder_stands_and_the_other_way_round(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(IsADirectoryError, match=r"^cannot write .*folder: Is a directory$"):
        fill(tmp_path / "folder")
    with pytest.raises(
        FileExistsError, match=r"^cannot write .*file: a file of that name stands there$"
    ):
        fill_folder(tmp_path / "file")
    assert left(tmp_path) == ["file", "folder"]


def test_errors_of_the_block_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"), new_file(tmp_path / "f"):
        (tmp_path / "gone").read_text()


# ---- Rivals
# --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [fill, fill_folder])
def test_writers_at_the_same_time_leave_one_whole_result(
    tmp_path: Path, write: Callable[[Path, str], None]
) -> None:
    errors: list[BaseException] = []

    def work(text: str) -> None:
        try:
            for _ in range(15):
                write(tmp_path / "result", text)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(str(i) * 100,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [p.name for p in tmp_path.iterdir()] == ["result"]
    files = [p for p in [tmp_path / "result", *tmp_path.rglob("*.txt")] if p.is_file()]
    assert len({p.read_text() for p in files}) == 1


# ---- Asked before hours of work
# --------------------------------------------------------------------------------------------------


def test_what_may_be_replaced(tmp_path: Path) -> None:
    check_writable(tmp_path / "new" / "result", marker="m.json")
    (tmp_path / "empty").mkdir()
    check_writable(tmp_path / "empty", marker="m.json")
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "m.json").write_text("{}")
    check_writable(tmp_path / "ours", marker="m.json")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("x")
    with pytest.raises(
        FileExistsError,
        match=r"^cannot replace .*thesis: it holds files but no m\.json; choose another",
    ):
        check_writable(tmp_path / "thesis", marker="m.json")
    with pytest.raises(
        FileExistsError, match=r"^cannot write .*thesis\.tex: a file of that name stands there$"
    ):
        check_writable(tmp_path / "thesis" / "thesis.tex", marker="m.json")


def test_asking_touches_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.check").write_text("mine")
    check_writable(tmp_path / "r", marker="m.json")
    assert left(tmp_path) == ["r.check"]
    assert (tmp_path / "r.check").read_text() == "mine"
