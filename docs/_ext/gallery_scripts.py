"""The scripts of simulations/ as sphinx-gallery wants them: the question as the title."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

HEADER = """\
Gallery
=======

Each script asks one question and says what to expect. A clone has them in ``simulations/``;
``python simulations/06_energy.py`` runs one. Those that take seconds were run for this page.
"""


def titled(script: str) -> str:
    """Return a script whose docstring opens with a title: its question, on one line."""
    tree = ast.parse(script)
    first = tree.body[0]
    question, _, rest = (ast.get_docstring(tree) or "").partition("\n\n")
    title = " ".join(question.split())
    # a star or a bar in the text is no markup
    rest = textwrap.dedent(rest).replace("*", "\\*").replace("`", "``")
    body = script.splitlines()[first.end_lineno :]
    return "\n".join([f'r"""\n{title}\n{"=" * len(title)}\n\n{rest}\n"""', *body, ""])


def _on_start(app: Sphinx, config: object) -> None:
    source = Path(app.srcdir).parent / "simulations"
    folder = Path(app.srcdir, "_build", "simulations")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "GALLERY_HEADER.rst").write_text(HEADER, encoding="utf-8")
    for path in source.glob("[0-9]*.py"):
        text, copy = titled(path.read_text(encoding="utf-8")), folder / path.name
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call what is above, before the gallery looks for its scripts."""
    app.connect("config-inited", _on_start)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
