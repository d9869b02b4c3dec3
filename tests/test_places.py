"""Places for what is compiled, where there is no home: containers, clusters, shared installations."""

import ctypes
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import neurosparse
from neurosparse._internal import places

KERNEL = """
import warnings
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    from neurosparse.kernels.circuit import bit_rows, lif_network, poisson, synapse_draws
    from neurosparse.kernels.network import sparse_rows, spike_pools, spike_rows
    print(int(synapse_draws.stream(3, 5)))
print(*{str(w.message) for w in said if "compiled" in str(w.message)}, sep="\\n")
"""


@pytest.fixture
def shared_install():
    """A copy of the package that nobody can write to, readable by all."""
    with tempfile.TemporaryDirectory(prefix="shared") as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(
            Path(neurosparse.__file__).parent,
            folder / "neurosparse",
            ignore=shutil.ignore_patterns("__pycache__", "vendored"),
        )
        for path in folder.rglob("*"):
            path.chmod(0o555 if path.is_dir() else 0o444)
        folder.chmod(0o555)
        yield folder
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755)


def obey_modes():
    """Let the superuser obey the modes of files, as others do."""
    libc = ctypes.CDLL(None)
    for ability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        libc.prctl(24, ability, 0, 0, 0)  # PR_CAPBSET_DROP, which holds from the next exec on


def run(install, code, **environment):
    """Run code that can write nowhere but where the environment says."""
    keep = {"PATH": os.environ["PATH"], "PYTHONPATH": str(install), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=install,
        env=keep | {"HOME": str(install / "nobody")} | environment,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=obey_modes if os.getuid() == 0 else None,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    number, _, said = done.stdout.strip().partition("\n")
    return int(number), said


def test_kernels_compile_without_a_home(shared_install, tmp_path):
    from neurosparse.kernels.circuit import synapse_draws

    expected = int(synapse_draws.stream(3, 5))
    for home in ({}, {"HOME": str(shared_install)}, {"HOME": "/dev/null"}):
        number, said = run(shared_install, KERNEL, TMPDIR=str(tmp_path), **home)
        assert number == expected
        assert said.startswith("the user's cache folder cannot be written")
        assert f"kept in {tmp_path}/neurosparse-" in said
        assert said.endswith("set NEUROSPARSE_CACHE to a folder that can be")
        assert len(said.splitlines()) == 1
    kept = next(tmp_path.iterdir())
    assert stat.S_IMODE(kept.stat().st_mode) == 0o700
    assert list(kept.rglob("*.nbi"))
    assert not list(shared_install.rglob("*.nb?"))


def test_kernels_compile_where_nothing_at_all_can_be_written(shared_install):
    nowhere = "import tempfile; tempfile.tempdir = '/dev/null'\n"
    _, said = run(shared_install, nowhere + KERNEL)
    assert "for this run only" in said


@pytest.mark.parametrize("variable", ["NUMBA_CACHE_DIR", "NEUROSPARSE_CACHE"])
def test_a_chosen_folder_is_taken_and_nothing_is_said(shared_install, variable, tmp_path):
    _, said = run(shared_install, KERNEL, **{variable: str(tmp_path)})
    assert said == ""
    assert list(tmp_path.rglob("*.nbi"))


def test_damaged_caches_are_compiled_anew(shared_install, tmp_path):
    expected = run(shared_install, KERNEL, NUMBA_CACHE_DIR=str(tmp_path))
    for harm in (b"", b"0.1.0", os.urandom(400)):
        for path in tmp_path.rglob("*.nb?"):
            path.write_bytes(harm)
        assert run(shared_install, KERNEL, NUMBA_CACHE_DIR=str(tmp_path)) == expected


def test_a_second_copy_of_the_package_compiles_nothing_again(shared_install, tmp_path):
    with tempfile.TemporaryDirectory(prefix="second") as second:
        shutil.copytree(shared_install / "neurosparse", Path(second) / "neurosparse")
        number, _ = run(shared_install, KERNEL, NEUROSPARSE_CACHE=str(tmp_path))
        kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
        assert kept
        assert run(Path(second), KERNEL, NEUROSPARSE_CACHE=str(tmp_path)) == (number, "")
        assert kept == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}


def test_what_is_compiled_is_told_and_what_is_kept_is_not(tmp_path, monkeypatch):
    from neurosparse.kernels.compiled import njit
    from neurosparse.progress import with_compilation

    monkeypatch.setenv("NEUROSPARSE_CACHE", str(tmp_path))
    told = []

    def thrice(x):
        return 3 * x

    for _ in range(2):  # the second kernel finds the code of the first
        kernel = njit()(thrice)
        with with_compilation(lambda done, text: told.append((done, text))) as progress:
            progress(0.5, "epoch 3")
            assert kernel(2) == kernel(2) == 6
    told_once = (0.5, "epoch 3"), (0.5, "compiling, once: thrice"), (0.5, "epoch 3")
    assert tuple(told) == told_once


def test_warm_counts_what_each_job_compiles(monkeypatch):
    from neurosparse import warming
    from neurosparse.progress import compiling

    jobs = {"two": lambda: [compiling(name) for name in "ab"], "none": lambda: None}
    monkeypatch.setattr(warming, "JOBS", jobs)
    told = []
    assert warming.warm(lambda *what: told.append(what)) == {"two": 2, "none": 0}
    assert [text for _, text in told[:2]] == ["compiling, once: a", "compiling, once: b"]
    assert told[-1] == (1.0, "none")


@pytest.mark.slow
def test_after_warm_nothing_is_compiled(tmp_path):
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from command_line import ask
from neurosparse import warming
from neurosparse.progress import with_compilation
assert min(warming.warm().values()) > 0 and not any(warming.warm().values())
os.chdir({str(tmp_path)!r})
compiled = []
with with_compilation(lambda _, text: compiled.append(text)):
    for words in (
        "simulate cortical_population --seconds 0.2 -o a",
        "simulate potjans2014 --scale 0.02 --seconds 0.1 -o b",
        "simulate brunel2000_fast --scale 0.05 --seconds 0.1 -o c",
        "train rectifier_l1 --set network.sizes=[784,32,32,10] --set epochs=1 -o n.safetensors",
        "convert n.safetensors --images 20 --steps 8 -o d",
        "measure n.safetensors --data mnist5k",
        "train plays_4_percent --set steps=2 -o t.safetensors",
        "generate t.safetensors --prompt The --length 9",
    ):
        done = ask(*words.split())
        assert done.returncode == 0, done
assert not compiled, compiled
"""
    environment = os.environ | {"NEUROSPARSE_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_a_change_of_one_kernel_makes_a_cache_of_its_own(tmp_path, monkeypatch):
    from neurosparse.kernels import compiled

    monkeypatch.setenv("NEUROSPARSE_CACHE", str(tmp_path / "cache"))
    sources = tmp_path / "kernels"
    sources.mkdir()
    (sources / "inner.py").write_text("a = 1")
    (sources / "outer.py").write_text("b = 1")
    before = compiled._folder.__wrapped__(str(sources))
    assert before == compiled._folder.__wrapped__(str(sources))
    (sources / "inner.py").write_text("a = 2")
    assert compiled._folder.__wrapped__(str(sources)) != before


@pytest.mark.parametrize("harm", ["another user's", "open to all", "a link"])
def test_a_temporary_folder_that_others_could_fill_is_not_taken(harm, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = tmp_path / f"neurosparse-{os.getuid()}"
    assert places._temporary() == folder
    if harm == "another user's":
        monkeypatch.setattr(os, "getuid", lambda: 12345)
        (tmp_path / "neurosparse-12345").mkdir()
    elif harm == "open to all":
        folder.chmod(0o777)
    else:
        folder.rmdir()
        (tmp_path / "elsewhere").mkdir()
        folder.symlink_to(tmp_path / "elsewhere")
    assert places._temporary() is None


FIGURE = """
import logging, warnings
said = []
logging.getLogger("matplotlib").addHandler(h := logging.Handler())
h.emit = lambda record: said.append(record.getMessage())
with warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    from neurosparse import plots
    import matplotlib
    matplotlib.get_configdir(), matplotlib.get_cachedir()
print(len(said) + len([w for w in warned if "cache" in str(w.message)]))
print(matplotlib.get_configdir())
"""


def test_figures_are_drawn_without_a_home_and_that_is_said_once(shared_install, tmp_path):
    for home in ({}, {"HOME": "/dev/null"}):
        number, folder = run(shared_install, FIGURE, TMPDIR=str(tmp_path), **home)
        assert number == 1
        assert Path(folder).parent.parent == tmp_path
        assert Path(folder).name == "matplotlib"
    number, folder = run(shared_install, FIGURE, HOME=str(tmp_path))  # where there is one
    assert (number, Path(folder)) == (0, tmp_path / ".config" / "matplotlib")
    number, folder = run(shared_install, FIGURE, MPLCONFIGDIR=str(tmp_path / "own"))
    assert (number, Path(folder)) == (0, tmp_path / "own")


def test_a_home_that_is_no_path_is_none(monkeypatch):
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: Path("~/.cache") / name)
    assert places._user_folder() is None
