"""What somebody meets who is new here and takes a wrong word: the way out, in the terminal's own
words.
"""

from __future__ import annotations

import os
import pickle
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import run

from neurosparse.activity import ActiveWhen
from neurosparse.cli import boundary, wording
from neurosparse.measurement import measure

COMMANDS = (
    "compare", "simulate", "train", "generate", "measure", "atlas", "convert", "sweep", "claims",
    "recipes", "brains", "warm", "runs list", "runs show", "runs verify", "runs export",
)  # fmt: skip


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


def said(capsys: pytest.CaptureFixture[str], *words: str | Path, code: int = 0) -> str:
    assert run(*words) == code
    out, err = capsys.readouterr()
    return out if code == 0 else err


def test_examples_can_be_copied_into_a_shell(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for command in COMMANDS:
        _, _, text = said(capsys, *command.split(), "-h").partition("  Example")
        _, *lines = text.replace(" \\\n", " ").split("\n")
        for line in filter(None, lines):
            assert "neurosparse " in line, line  # no line is the end of another


@pytest.fixture
def text_of_spikes(tmp_path: Path) -> Path:
    """A text with the spikes of ten named units over 20 s, in seconds."""
    lines = [f"{k / 10 + 0.013},cell{k % 10}" for k in range(199)]
    (tmp_path / "a.csv").write_text("\n".join(["t,neuron", *lines]))
    return tmp_path / "a.csv"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--duration-s 20", "give --time-unit, one of s"),
        ("--time-unit ms --duration-s 20000", "; check --time-unit, and --duration-s, which is in"),
        ("--time-unit s", "give --duration-s; the first spike"),
        ("--time-unit s --duration-s 20 --n-units 3", "more than --n-units 3"),
        ("--time-unit s --duration-s 20 --window-ms -1", "--window-ms must be > 0"),
    ],
)
def test_errors_name_the_options(
    words: str, sentence: str, text_of_spikes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys, "measure", text_of_spikes, *words.split(), code=2)
    assert sentence in text
    assert not re.search(r"[a-z]_[a-z]|=", text.replace(str(text_of_spikes), ""))


def test_arguments_of_python_are_options_in_the_terminal() -> None:
    options = {"layers": ("--layers", "NAME,NAME"), "units_axis": ("--units-axis", "AXIS|L=AXIS")}
    options |= {"times": ("--times", "COLUMN"), "forward": ("--forward", "MODULE:FUNCTION")}
    for before, after in {
        "with layers=(...)": "with --layers NAME,NAME",
        "pass units_axis={'fc.1': ...}": "pass --units-axis fc.1=AXIS",
        "units_axis names layer": "--units-axis names layer",
        "with times=COLUMN (--times); there": "with --times COLUMN; there",
        "pass forward=lambda model, batch: ...": "pass --forward MODULE:FUNCTION",
        "no file x/units_axis.npy of times": "no file x/units_axis.npy of times",
    }.items():
        assert wording.in_options(before, options) == after


def test_a_file_of_pytorch_is_refused_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    state = torch.nn.Linear(3, 2).state_dict()
    for name in ("m.pt", "model.bin"):
        torch.save(state, name)
    torch.save(state, "old.bin", _use_new_zipfile_serialization=False)
    (tmp_path / "net.py").write_text("from torch import nn\ndef make(): return nn.Linear(3, 2)\n")
    np.save("x.npy", np.ones((4, 3)))
    for words, remedy in {
        "measure m.pt": "a function that returns the model and give MODULE:FUNCTION",
        "measure m.pt --data x.npy": "a function that returns the model and give MODULE:FUNCTION",
        "measure model.bin": "safetensors.torch.save_file",
        "measure old.bin --data x.npy": "safetensors.torch.save_file",
        "measure net:make --data x.npy --weights m.pt": "safetensors.torch.save_file",
        "compare m.pt x.npy": "`neurosparse measure MODULE:FUNCTION`",
        "convert m.pt": "neurosparse.convert.to_spiking",
    }.items():
        text = said(capsys, *words.split(), code=2)
        assert "is a PyTorch file" in text
        assert remedy in text
    for words in ("net", "net.py", "net --data x.npy", "net.py --data x.npy"):
        assert "such as net:model" in said(capsys, "measure", *words.split(), code=2)
    (tmp_path / "m.pkl").write_bytes(pickle.dumps(state))
    (tmp_path / "m.pt2").write_bytes(b"")
    for name, kind in (("m.pkl", "a pickle"), ("m.pt2", "a PyTorch file")):
        text = said(capsys, "measure", name, "--data", "x.npy", code=2)
        assert f"{name} is {kind}" in text
        assert "MODULE:FUNCTION, with --weights" in text
    exact = ActiveWhen(threshold=0.0)
    for held in (state, {"model": state, "epoch": 3}):
        for data in (None, np.ones((4, 3))):
            with pytest.raises(TypeError, match="holds the weights of a network"):
                measure(held, data, active_when=exact)
    for file in ("m.pt", tmp_path / "m.pt"):
        with pytest.raises(ValueError, match=r"m.pt is a file: .* \(load_state_dict\)"):
            measure(file, np.ones((4, 3)), active_when=exact)


def test_notes_of_recordings_are_kept(
    text_of_spikes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    other = tmp_path / "b"
    other.mkdir()
    (other / "a.csv").write_text(text_of_spikes.read_text())
    told = ("--time-unit", "s", "--duration-s", "20")
    monkeypatch.chdir(tmp_path)
    text = " ".join(said(capsys, "compare", "a.csv", "b/a.csv", *told).split())
    assert text.count("Note on a.csv: Sorted spikes miss the cells") == 1
    assert "b/a.csv: a" in text  # of one name, by their paths
    assert "is given twice" in said(capsys, "compare", "a.csv", "a.csv", *told, code=2)
    text = said(capsys, "measure", text_of_spikes, *told)
    assert "active fraction is an upper bound" in " ".join(text.split())
    assert "Columns" not in text  # names of units say nothing


def test_what_is_stopped_says_what_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    def stopped(before: Any = None) -> str:
        def program() -> int:
            if before is not None:
                before()
            raise KeyboardInterrupt

        assert boundary.run(program, debug=False) == boundary.INTERRUPTED
        return capsys.readouterr().err.removeprefix("neurosparse: stopped; ")

    assert stopped() == "no result was written, and older results are as they were\n"
    assert stopped(lambda: boundary.keeps("a is in b")) == "a is in b\n"
    assert stopped(boundary.results_are_written) == "the results are in their place\n"


def test_a_signal_that_is_ignored_has_a_handler_that_can_be_called() -> None:
    """Brian2 calls the handler that it finds."""

    def program() -> int:
        os.kill(os.getpid(), signal.SIGINT)
        assert callable(signal.getsignal(signal.SIGINT))
        return 0

    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert boundary.run(program, debug=False) == 0
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
