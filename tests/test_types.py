"""Misuse of public functions fails in a type checker, their use does not (`typed_use.py`)."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HOME = Path(__file__).parent.parent
USE = HOME / "tests" / "typed_use.py"


def errors(path: Path) -> list[int]:
    """The lines that mypy complains of."""
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", str(HOME / "pyproject.toml"), str(path)],
        cwd=HOME,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode in (0, 1), run.stderr
    return [int(line) for line in re.findall(r"\.py:(\d+): error:", run.stdout)]


@pytest.mark.slow
def test_use_passes_and_each_misuse_is_an_error(tmp_path: Path) -> None:
    text = USE.read_text()
    misused = [n for n, line in enumerate(text.splitlines(), 1) if "  # type: ignore" in line]
    assert len(misused) > 10
    assert errors(USE) == []
    bare = tmp_path / "bare.py"
    bare.write_text(re.sub("  # type: ignore.*", "", text))
    assert sorted(set(errors(bare))) == misused


def test_lint_reads_the_uses() -> None:
    assert '"tests/typed_use.py"' in (HOME / "pyproject.toml").read_text()
