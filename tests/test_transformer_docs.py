"""The training loop of docs/transformers.md runs as it stands, on the fast path."""

from pathlib import Path

from neurosparse.sparsify import SparseFFN

PAGE = Path(__file__).parents[1] / "docs" / "transformers.md"


def test_the_loop_runs_and_is_sparse(capsys):
    (code,) = (part.partition("```")[0] for part in PAGE.read_text().split("```python\n")[1:])
    assert len(code.splitlines()) <= 22
    names: dict = {}
    exec(compile(code, str(PAGE), "exec"), names)
    blocks = [m for m in names["model"].modules() if isinstance(m, SparseFFN)]
    assert [block.ran.path for block in blocks] == ["active pairs"] * 2
    assert list(names["steering"].active) == ["1.1.activation", "2.1.activation"]
    assert all(0.01 < share < 0.09 for share in names["steering"].active.values())
    assert "active pairs" in capsys.readouterr().out
