"""What the README says runs: its Python, its commands' names, its links."""

import re
from pathlib import Path

import pytest
from said import assert_alike
from typer.main import get_command

from neurosparse.cli import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_its_python_runs_as_it_stands_and_prints_what_it_shows(capsys):
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", TEXT, flags=re.DOTALL)
    assert len(blocks) == 6
    namespace = {}
    for block, shown in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
        printed = capsys.readouterr().out
        assert printed
        assert shown
        assert_alike(printed, shown)
    assert namespace["drive"].grad is not None
    assert namespace["run"].outputs.shape == (50, 10)


def test_each_door_takes_five_lines():
    doors = TEXT[TEXT.index("## Three doors") : TEXT.index("## What")]
    for block in re.findall(r"```python\n(.*?)```", doors, flags=re.DOTALL):
        assert sum(bool(line.strip()) for line in block.splitlines()) <= 5


def test_its_commands_exist():
    commands = set(get_command(app).commands)
    shown = set(re.findall(r"^neurosparse (\w+)", TEXT, flags=re.MULTILINE))
    assert shown
    assert shown <= commands


@pytest.mark.parametrize("link", re.findall(r"\]\((?!http)([^)]+)\)", TEXT))
def test_its_links_lead_somewhere(link):
    assert (ROOT / link).exists()


def test_the_make_targets_it_names_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"\bmake ([a-z-]+)", TEXT)):
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
