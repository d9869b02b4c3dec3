"""Progress of long work on a terminal, and in the log of a batch job."""

from __future__ import annotations

import io
import sys

import pytest

from neurosparse.progress import OnStderr, part_of


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO) -> str:
    monkeypatch.setattr(sys, "stderr", stream)
    show = OnStderr()
    for step in range(1001):
        part_of(show, 0.0, 1.0, "seed 2")(step / 1000, f"step {step}/1000")
    return stream.getvalue()


def test_a_log_has_a_line_for_each_per_cent(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = shown(monkeypatch, io.StringIO()).splitlines()
    assert len(lines) == 101
    assert lines[0] == "  0 %  seed 2: step 0/1000"
    assert lines[29] == " 29 %  seed 2: step 290/1000"
    assert lines[-1] == "100 %  seed 2: step 1000/1000"


def test_a_terminal_has_one_line_that_is_written_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(monkeypatch, Terminal())
    assert text.count("\n") == 1
    assert text.endswith("\n")
    *_, before, last = text.rstrip().split("\r")
    assert before.startswith(" 99 %  seed 2: step 999/1000")
    assert last == "100 %  seed 2: step 1000/1000"
    assert len(before) >= len(last)  # nothing of a longer text stays


def test_no_number_is_cut() -> None:
    said: list[str] = []
    tell = part_of(lambda _, text: said.append(text), 0.0, 1.0, "rectifier_4_percent")
    tell(0.5, "epoch 1/20, error 9.87 %")
    tell(0.5, "one_word_that_is_longer_than_all_that_fits")
    assert said == ["rectifier_4_percent: epoch 1/20", "rectifier_4_percent"]
