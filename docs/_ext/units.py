"""A number and its unit stay on one line, without a mark in their text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from docutils import nodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

UNIT = re.compile(r"(?<=\d) (?=(?:%|ms|s|Hz|nA|mV|GB|MB|kB|points?)(?!\w))")

ENDS = re.compile(r"(?<=\[)([-+.e\d]+), ([-+.e\d]+)(?=\])")  # of an interval


def joined(text: str) -> str:
    """Return a text with spaces that no line breaks at: before units and inside intervals."""
    return ENDS.sub("\\1,\N{NO-BREAK SPACE}\\2", UNIT.sub("\N{NO-BREAK SPACE}", text))


def _on_doctree(app: Sphinx, tree: nodes.document) -> None:
    for node in list(tree.findall(nodes.Text)):
        if not isinstance(
            node.parent, nodes.literal | nodes.literal_block | nodes.raw | nodes.math
        ):
            node.parent.replace(node, nodes.Text(joined(str(node))))


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call what is above, after terms have become links."""
    app.connect("doctree-read", _on_doctree, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
