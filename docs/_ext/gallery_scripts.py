"""The scripts of simulations/ as sphinx-gallery wants them: the question as the title."""

from __future__ import annotations

import ast
import re
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


# The pictures of scripts that are not run for the page.
PICTURES = {
    "04_side_by_side": "active_fraction_over_window",
    "12_brain_level_sparsity": "brain_level_moved",
    "13_figure3": "figure3",
    "14_table1": "table1_quick",
    "15_few_labels": "figure4_quick",
    "16_l1_to_spikes": "l1_to_spikes",
    "17_transformers": "transformers",
    "18_what_electrodes_miss": "electrodes",
    "19_bits_per_atp": "bits_per_atp",
}
PAGE = re.compile(r"docs/([\w/]+)\.md")


def titled(script: str, picture: str | None = None) -> str:
    """Return a script whose docstring opens with a title: its question, on one line.

    Pages of the docs that it names become links. Its picture in docs/images is shown, and a comment
    at its end, which the page leaves out, names it for the gallery.
    """
    tree = ast.parse(script)
    first = tree.body[0]
    question, _, rest = (ast.get_docstring(tree) or "").partition("\n\n")
    title = " ".join(question.split())
    # a star or a bar in the text is no markup
    rest = textwrap.dedent(rest).replace("*", "\\*").replace("`", "``").replace(" --", " \\--")
    rest = PAGE.sub(r":doc:`/\1`", rest)
    if picture:
        rest += f"\n\n.. image:: /images/{picture}.png"
    body = script.splitlines()[first.end_lineno :]
    if picture:
        body += ["", f"# sphinx_gallery_thumbnail_path = 'images/{picture}.png'"]
    return "\n".join([f'r"""\n{title}\n{"=" * len(title)}\n\n{rest}\n"""', *body, ""])


def _on_start(app: Sphinx, config: object) -> None:
    source = Path(app.srcdir).parent / "simulations"
    folder = Path(app.srcdir, "_build", "simulations")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "GALLERY_HEADER.rst").write_text(HEADER, encoding="utf-8")
    for path in source.glob("[0-9]*.py"):
        copy = folder / path.name
        text = titled(path.read_text(encoding="utf-8"), PICTURES.get(path.stem))
        if not copy.exists() or copy.read_text(encoding="utf-8") != text:
            copy.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call what is above, before the gallery looks for its scripts."""
    app.connect("config-inited", _on_start)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
