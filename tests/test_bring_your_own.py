"""docs/bring_your_own.md: its Python runs from top to bottom with the real libraries and prints what
the page shows, and so do its commands.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import command_line
import pytest
from said import assert_alike

PAGE = Path(__file__).parents[1] / "docs" / "bring_your_own.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """The folder in which the page's Python ran, and what each block printed."""
    folder = tmp_path_factory.mktemp("page")
    mark = "print('-- end of a block')\n"
    code = "".join(block + mark for block in blocks("python"))
    (folder / "page.py").write_text("import brian2\nbrian2.prefs.codegen.target = 'numpy'\n" + code)
    command = [sys.executable, "page.py"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "80"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "pynapple" not in done.stderr  # it warns where a unit of an example has one spike
    return folder, done.stdout.split("-- end of a block\n")[:-1]


def test_every_block_of_python_runs(ran: tuple[Path, list[str]]) -> None:
    _, printed = ran
    assert len(printed) == len(blocks("python"))


def test_blocks_print_what_the_page_shows(ran: tuple[Path, list[str]]) -> None:
    _, printed = ran
    shown = re.findall(
        r"^```python\n(?:.*?)^```$(?:\n\n```text\n(.*?)^```$)?",
        PAGE.read_text(),
        re.MULTILINE | re.DOTALL,
    )
    assert len(shown) == len(printed)
    assert sum(map(bool, shown)) >= 15
    for said, found in zip(shown, printed, strict=True):
        lines = said.rstrip().splitlines()  # a library may greet before them
        assert_alike(
            "\n".join(found.rstrip().splitlines()[-len(lines) :] * bool(lines)), "\n".join(lines)
        )


@pytest.mark.parametrize(
    ("start", "ours"),
    [
        ("import brian2", r"neurosparse|\bns\.|\bstats\b"),
        ("def batch", r"\bns\.|\bwatched\b"),
        ("import lightning", r"neurosparse|LightningSparsity|watching"),
        ("from transformers", r"neurosparse|TransformersSparsity|watching"),
    ],
)
def test_sparsity_is_seen_with_three_lines_more(start: str, ours: str) -> None:
    block = next(block for block in blocks("python") if block.startswith(start))
    lines = [line for line in block.splitlines() if re.search(ours, line)]
    changed = [line for line in lines if "callbacks=" in line]  # of the user's own
    imported = "import neurosparse" in block or "from neurosparse" in block
    assert 0 < len(lines) - len(changed) + (not imported) <= 3


def test_the_three_tables_give_one_number(ran: tuple[Path, list[str]]) -> None:
    _, printed = ran
    of_tables = next(
        text for block, text in zip(blocks("python"), printed, strict=True) if "polars" in block
    )
    # of windows from 0 to 10 ms on: those up to 5 hold a spike of unit 0, those up to 7.5 of unit 3
    assert of_tables.splitlines()[:3] == [f"{100 * (5 + 7.5) / 40:.2f} % of 4 units active"] * 3


def test_every_command_runs(
    ran: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ran[0])
    commands = [shlex.split(line) for block in blocks("bash") for line in block.splitlines()]
    assert len(commands) == 3
    for program, *words in commands:
        assert program == "neurosparse"
        assert command_line.run(*words) == 0, capsys.readouterr().err
