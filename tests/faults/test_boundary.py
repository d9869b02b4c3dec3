"""Whatever fails inside a command: one sentence, exit code 2, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import SafetensorError

from neurosparse import cli
from neurosparse._internal.workers import WorkerError
from neurosparse.cli import boundary
from neurosparse.spiking.brian.builds import CompilationError

FACTORIES = """
import torch
from torch import nn
class Two(nn.Module):
    def forward(self, a, b):
        return torch.relu(a) + b
class Bug(nn.Module):
    def forward(self, x):
        return {}["missing"]
class Deep(nn.Module):
    def forward(self, x):
        return self.forward(x)
class Hungry(nn.Module):
    def forward(self, x):
        raise MemoryError
class Leaves(nn.Module):
    def forward(self, x):
        raise SystemExit(3)
def fits(): return nn.Sequential(nn.Linear(784, 5), nn.ReLU())
def wrong(): return nn.Sequential(nn.Linear(7, 5), nn.ReLU())
def scripted(): return torch.jit.script(fits())
def fails(): return 1 / 0
def exits(): raise SystemExit("no licence\\nfound")
def speaks(): raise RuntimeError("\\x1b[2Jline one\\nline two " + "x" * 10_000)
def none(): return None
"""

THROWN: dict[str, tuple[BaseException, str]] = {
    "bad input": (ValueError("tau must be > 0, got -1"), "neurosparse: tau must be > 0, got -1"),
    "bug": (KeyError("a"), "neurosparse: KeyError: 'a' (--debug shows where)"),
    "nothing said": (AssertionError(), "neurosparse: AssertionError (--debug shows where)"),
    "file": (FileNotFoundError(2, "No such file", "x.npz"), "neurosparse: x.npz: No such file"),
    "full disk": (SafetensorError("os error 28"), "neurosparse: SafetensorError: os error 28 (--d"),
    "compiler": (CompilationError("does not\ncompile"), "neurosparse: does not compile"),
    "memory": (MemoryError(), "neurosparse: there is not enough memory"),
    "array": (
        np._core._exceptions._ArrayMemoryError((10**9,), np.dtype("f8")),  # type: ignore[attr-defined]
        "neurosparse: there is not enough memory: Unable to allocate 7.45 GiB",
    ),
    "overflow": (OverflowError("int too large"), "neurosparse: OverflowError: int too large (--d"),
    "depth": (RecursionError("too deep"), "neurosparse: something is nested too deeply"),
    "worker": (WorkerError("circuit: died"), "neurosparse: circuit: died"),
    "pipe": (BrokenPipeError(32, "Broken pipe"), "neurosparse: "),
    "end of file": (EOFError(), "neurosparse: "),
    "group": (ExceptionGroup("two", [ValueError("a")]), "neurosparse: ExceptionGroup: two"),
}


@pytest.mark.parametrize("case", THROWN)
@pytest.mark.parametrize("debug", [False, True])
def test_every_error_is_one_sentence(
    case: str, debug: bool, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    error, message = THROWN[case]

    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("neurosparse.recipes.load", fail)
    words = ["neurosparse", "train", "x", *["--debug"] * debug]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == cli.BAD_INPUT
    said = capfd.readouterr().err
    assert said.splitlines()[-1].startswith(message)
    assert ("Traceback" in said) == debug
    assert debug or len(said.splitlines()) == 1


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    (folder / "nets.py").write_text(FACTORIES)
    np.save(folder / "x.npy", np.zeros((4, 784), np.float32))
    return folder


def neurosparse(
    *words: str | Path, where: Path, encoding: str = "utf-8", **options: Any
) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "OMP_NUM_THREADS": "1"}
    settings: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [sys.executable, "-m", "neurosparse.cli", *map(str, words)],
        cwd=where,
        env={**environment, "TMPDIR": str(where)},
        check=False,
        timeout=300,
        **settings,
    )


USERS = {
    "Two": "measured",
    "Bug": "missing",
    "Deep": "",
    "Hungry": "memory",
    "Leaves": "Leaves failed on a batch of (4, 784) float32: SystemExit: 3",
    "wrong": "784",
    "fails": "division by zero",
    "exits": "no licence found",
    "speaks": "line one line two xxx",
    "none": "must give a torch module, got NoneType",
    "absent": "has no 'absent'",
}


@pytest.mark.parametrize("factory", USERS)
def test_a_users_model_that_fails_is_one_sentence(
    factory: str, models: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(models)
    monkeypatch.setattr(
        "sys.argv", ["neurosparse", "measure", f"nets:{factory}", "--data", "x.npy"]
    )
    with pytest.raises(SystemExit) as ended:
        cli.main()
    out, said = capfd.readouterr()
    assert ended.value.code == cli.BAD_INPUT, out + said
    assert len(said.splitlines()) == 1
    assert len(said) < 2000
    assert "\x1b" not in said
    assert factory == "Two" or USERS[factory] in said


def test_a_full_output_is_no_failure_of_what_was_written(tmp_path: Path) -> None:
    words = ("simulate", "cortical_population", "--seconds", "0.2", "-o")
    with Path("/dev/full").open("wb") as full:
        done = neurosparse(*words, "a", where=tmp_path, stdout=full)
        assert done.returncode == 0, done.stderr
        assert (
            b"cannot print: No space left on device; the results are in their place" in done.stderr
        )
        assert b"Traceback" not in done.stderr
        again = neurosparse("recipes", where=tmp_path, stdout=full)
        assert again.returncode == cli.BAD_INPUT
        assert again.stderr == b"neurosparse: cannot print: No space left on device\n"
    (tmp_path / "here").mkdir()
    here = neurosparse("compare", "../a", "-o", ".", where=tmp_path / "here", encoding="ascii")
    assert here.returncode == 0, here.stderr
    assert here.stdout.isascii()
    assert (tmp_path / "here" / "report.html").is_file()
    left = {p.name for p in tmp_path.iterdir()}
    assert left == {"a", "here"}


@pytest.mark.parametrize("words", ["recipes", "--help", "recipes --json"])
def test_a_reader_that_leaves_is_no_failure(words: str, tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = neurosparse(*words.split(), where=tmp_path, stdout=write)
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")


def test_without_any_stream_it_still_works(tmp_path: Path) -> None:
    command = f"{sys.executable} -m neurosparse.cli recipes >&- 2>&-"
    assert subprocess.run(["sh", "-c", command], cwd=tmp_path, check=False).returncode == 0


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("SIGTERM", 143),
        pytest.param("SIGHUP", 129, marks=pytest.mark.slow),
        pytest.param("SIGINT", 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_it_as_ctrl_c_does(how: str, code: int, tmp_path: Path) -> None:
    running = subprocess.Popen(
        [sys.executable, "-m", "neurosparse.cli", "simulate", "cortical_population",
         "--seconds", "1000", "-o", str(tmp_path / "out" / "a")],
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )  # fmt: skip
    try:
        end = time.monotonic() + 120
        while not list(tmp_path.glob("neurosparse-brian2-*/results")):
            assert running.poll() is None
            assert time.monotonic() < end
        running.send_signal(signal.Signals[how])
        _, said = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == code
    assert said.splitlines()[-1] == (
        "neurosparse: stopped; no result was written, and older results are as they were"
    )
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def goes_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let this process go on where a command that was stopped would have ended it."""
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
    boundary.scratch.clean_up()


@pytest.mark.usefixtures("goes_on")
def test_a_signal_that_a_library_turns_into_another_error_is_still_a_signal(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def program() -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        except KeyboardInterrupt:
            raise ImportError("could not be imported") from None
        return 0

    assert boundary.run(program, debug=False) == 143
    assert "stopped" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [(MemoryError(), 0), (OSError(28, "No space left on device"), 0), (ValueError("x"), 2)],
)
def test_what_fails_once_results_are_written_says_that_they_are(
    error: Exception, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    def program() -> int:
        boundary.results_are_written()
        raise error

    assert boundary.run(program, debug=False) == code
    assert capfd.readouterr().err.endswith("; the results are in their place\n")


def test_a_warning_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    import warnings

    def program() -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.warn("the build\nis not kept", stacklevel=1)
            warnings.warn("old", DeprecationWarning, stacklevel=1)
        return 0

    with warnings.catch_warnings():
        assert boundary.run(program, debug=False) == 0
    assert capfd.readouterr().err in ("neurosparse: note: the build is not kept\n",)


@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize(("how", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_a_callback_from_c_drops_comes_again(
    how: signal.Signals, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    import ctypes

    def inside(_: int) -> None:
        os.kill(os.getpid(), how)
        time.sleep(0.01)

    callback = ctypes.CFUNCTYPE(None, ctypes.c_int)(inside)

    def program() -> int:
        callback(1)
        time.sleep(20)
        return 0

    assert boundary.run(program, debug=False) == code
    said = capfd.readouterr().err
    assert "Traceback" not in said
    assert "stopped" in said


class HalfMade:
    """An object that cannot be taken down where its maker was stopped."""

    def __init__(self, stop: bool) -> None:
        if stop:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(20)
        self.handle = 1

    def __del__(self) -> None:
        del self.handle, self.other


@pytest.mark.usefixtures("goes_on")
@pytest.mark.parametrize("stop", [True, False])
def test_what_a_signal_left_half_made_says_nothing(
    stop: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    def program() -> int:
        thread = threading.Thread(target=lambda: waiting.wait() and 1 / 0)
        waiting = threading.Event()
        thread.start()
        try:
            HalfMade(stop)
        finally:
            waiting.set()
            thread.join()
        return 0

    assert boundary.run(program, debug=False) == (143 if stop else 0)
    said = capfd.readouterr().err
    # without a signal both are told, as Python does
    assert [word in said for word in ("HalfMade", "ZeroDivisionError")] == [not stop] * 2
