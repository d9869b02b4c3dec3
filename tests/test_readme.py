"""What the README says runs: its Python, its commands' names, its links."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from neurosparse.cli import app

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text()


def test_its_python_runs_as_it_stands(capsys):
    blocks = re.findall(r"```python\n(.*?)```", TEXT, flags=re.DOTALL)
    assert len(blocks) == 4
    namespace = {}
    for block in blocks:
        exec(compile(block, "README.md", "exec"), namespace)
    printed = capsys.readouterr().out
    assert "untrained 1" in printed
    assert namespace["drive"].grad is not None
    assert namespace["run"].outputs.shape == (50, 10)
    assert 0.01 < namespace["stats"].active_fraction < 0.1


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
