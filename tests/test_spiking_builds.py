"""The cache of compiled projects, with a makefile that needs no compiler and counts how often it
ran.
"""

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from neurosparse.spiking.brian import builds

MAKEFILE = "main: code.cpp\n\techo run >> {log}\n\tcp code.cpp main\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROSPARSE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "brian2"


@pytest.fixture
def project(tmp_path):
    def make(name="a", code="1", data="x"):
        folder = tmp_path / name
        (folder / "static_arrays").mkdir(parents=True)
        (folder / "static_arrays" / "numbers").write_text(data)
        (folder / "code.cpp").write_text(code)
        (folder / "makefile").write_text(MAKEFILE.format(log=tmp_path / "log"))
        return folder

    return make


def runs(tmp_path):
    log = tmp_path / "log"
    return len(log.read_text().splitlines()) if log.exists() else 0


def test_the_same_code_is_compiled_once_whatever_its_data(project, tmp_path):
    first = builds.executable(project("a", data="x"), version="1")
    second = builds.executable(project("b", data="y"), version="1")
    assert first == second
    assert first.read_text() == "1"
    assert os.access(first, os.X_OK)
    assert runs(tmp_path) == 1


def test_other_code_version_or_compiler_is_another_build(project, tmp_path, monkeypatch):
    found = {builds.executable(project("a"), version="1")}
    found.add(builds.executable(project("b", code="2"), version="1"))
    found.add(builds.executable(project("c"), version="2"))
    monkeypatch.setenv("CXX", "g++ -m32")
    found.add(builds.executable(project("d"), version="1"))
    assert len(found) == runs(tmp_path) == 4


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_damaged_build_is_removed_and_made_again(project, tmp_path, cache, damage):
    built = builds.executable(project("a"), version="1")
    if damage is None:
        built.unlink()
    else:
        built.write_bytes(damage)
    assert builds.executable(project("b"), version="1").read_text() == "1"
    assert runs(tmp_path) == 2
    assert len(list(cache.iterdir())) == 1


def test_a_failed_build_leaves_nothing_and_tells_why(project, cache):
    folder = project()
    (folder / "makefile").write_text(
        "main:\n\t@echo 'code.cpp:7: error: no such thing' >&2; false\n"
    )
    with pytest.raises(builds.CompilationError, match=r"code\.cpp:7: error: no such thing"):
        builds.executable(folder, version="1")
    assert list(cache.iterdir()) == []


def test_many_at_once_get_one_whole_build(project, cache):
    folders = [project(f"p{k}") for k in range(6)]
    with ThreadPoolExecutor(6) as pool:
        found = set(pool.map(lambda folder: builds.executable(folder, version="1"), folders))
    assert len(found) == 1
    assert [path.name for path in cache.iterdir()] == [found.pop().name]


def test_processes_share_the_cache(project, tmp_path):
    built = builds.executable(project("a"), version="1")
    code = (
        "import sys, pathlib; from neurosparse.spiking import builds; "
        "print(builds.executable(pathlib.Path(sys.argv[1]), version='1'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, project("b")], capture_output=True, text=True, check=True
    )
    assert Path(done.stdout.strip()) == built
    assert runs(tmp_path) == 1


def test_where_the_cache_cannot_be_written_the_build_is_used_all_the_same(
    project, tmp_path, monkeypatch
):
    (tmp_path / "cache").write_text("a file where the folder should be")
    (tmp_path / "temporary").write_text("and another")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    folder = project()
    with pytest.warns(UserWarning, match="for this run only; set NEUROSPARSE_CACHE"):
        assert builds.executable(folder, version="1") == folder / "main"


def test_the_cache_lies_in_the_users_folder_unless_told_otherwise(monkeypatch, tmp_path):
    assert builds.cache_folder() == tmp_path / "cache" / "brian2"
    monkeypatch.delenv("NEUROSPARSE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert builds.cache_folder() == tmp_path / "xdg" / "neurosparse" / "brian2"


@pytest.mark.parametrize("missing", ["g++", "make"])
def test_without_compiler_or_make_there_is_none(missing, monkeypatch, tmp_path):
    monkeypatch.delenv("CXX", raising=False)
    assert builds.compiler() == "g++"
    (tmp_path / "bin").mkdir()
    for tool in {"g++", "make"} - {missing}:
        (tmp_path / "bin" / tool).symlink_to(shutil.which(tool))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert builds.compiler() is None


def test_a_compiler_that_does_not_exist_is_none(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler -O3")
    assert builds.compiler() is None
