"""The tutorial runs from top to bottom, and says what it says."""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[1] / "docs" / "tutorial.ipynb"


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> list:
    """The cells of the notebook after a run in a fresh kernel."""
    book = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(
        book, timeout=300, resources={"metadata": {"path": tmp_path_factory.mktemp("tutorial")}}
    ).execute()
    return [cell for cell in book.cells if cell.cell_type == "code"]


def shown(cell, kind: str) -> str:
    """What a cell shows, of one MIME type."""
    return "".join(out["data"].get(kind, "") for out in cell.outputs if "data" in out)


def test_results_are_stored_where_a_run_shows_some(cells: list) -> None:
    stored = [c for c in nbformat.read(NOTEBOOK, as_version=4).cells if c.cell_type == "code"]
    for cell, kept in zip(cells, stored, strict=True):
        assert [set(out["data"]) for out in kept.outputs] == [set(o["data"]) for o in cell.outputs]


def test_no_cell_warns(cells: list) -> None:
    assert [
        out for cell in cells for out in cell.outputs if out.output_type in ("stream", "error")
    ] == []


def test_results_and_figures_are_shown(cells: list) -> None:
    assert "<b>circuit</b>" in shown(cells[1], "text/html")
    assert "<b>Comparison</b>" in shown(cells[4], "text/html")
    assert "as many as in circuit in " in shown(cells[4], "text/html")
    assert shown(cells[5], "image/png")
    assert shown(cells[6], "image/png")


def test_the_text_is_true(cells: list) -> None:
    fractions = ast.literal_eval(shown(cells[2], "text/plain"))
    assert list(fractions) == ["silu", "silu*gate", "relu"]
    assert fractions["silu"][1] == fractions["silu*gate"][1] == 0
    assert 0.4 < fractions["relu"][0] < 0.6
    assert 0.9 < float(re.search(r"log_sd=([\d.]+)", shown(cells[6], "text/plain")).group(1)) < 1.1
    assert shown(cells[-1], "text/plain") == "True"
