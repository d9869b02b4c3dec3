"""The first use of a glossary term on a page becomes a link, without a mark in its text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from docutils import nodes
from sphinx import addnodes

if TYPE_CHECKING:
    from sphinx.application import Sphinx

WITHOUT = ("glossary", "genindex", "gallery/", "reference/api/", "CHANGELOG")


def entries(glossary: str) -> list[str]:
    """Return the terms of a glossary page, as they are written there."""
    body = glossary[glossary.index("```{glossary}") :].split("```")[1]
    lines = body.splitlines()[1:]
    return [line.strip() for line in lines if line and not line[0].isspace() and line[0] != ":"]


def pattern(terms: list[str]) -> re.Pattern[str]:
    """Return what finds any of the terms, the longest first, also in the plural."""
    longest = sorted(terms, key=len, reverse=True)
    return re.compile(rf"\b({'|'.join(map(re.escape, longest))})(?:s\b|\b)", re.IGNORECASE)


def _is_prose(node: nodes.Node) -> bool:
    inside = node.parent
    while inside is not None:
        if isinstance(
            inside,
            nodes.title | nodes.literal | nodes.literal_block | nodes.reference
            | addnodes.pending_xref | nodes.math | addnodes.desc | nodes.caption | nodes.term
            | nodes.raw | addnodes.download_reference,
        ):  # fmt: skip
            return False
        inside = inside.parent
    return True


def _link(term: str, text: str) -> addnodes.pending_xref:
    return addnodes.pending_xref(
        "", nodes.inline("", text, classes=["xref", "std", "std-term"]),
        refdomain="std", reftype="term", reftarget=term, refexplicit=True, refwarn=True,
    )  # fmt: skip


def _on_doctree(app: Sphinx, tree: nodes.document) -> None:
    page = app.env.docname
    if page.startswith(WITHOUT):
        return
    terms = {term.lower(): term for term in app.env.neurosparse_terms}  # type: ignore[attr-defined]
    finder, seen = pattern(list(terms.values())), set[str]()
    for node in list(tree.findall(nodes.Text)):
        if not _is_prose(node):
            continue
        text, parts, start = str(node), [], 0
        for found in finder.finditer(text):
            key = found[1].lower()
            if key in seen:
                continue
            seen.add(key)
            parts += [nodes.Text(text[start : found.start()]), _link(terms[key], found[0])]
            parts[-1]["refdoc"] = page
            start = found.end()
        if parts:
            node.parent.replace(node, [*parts, nodes.Text(text[start:])])


def _on_start(app: Sphinx) -> None:
    page = Path(app.srcdir, "glossary.md").read_text(encoding="utf-8")
    app.env.neurosparse_terms = entries(page)  # type: ignore[attr-defined]


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call what is above."""
    app.connect("builder-inited", _on_start)
    app.connect("doctree-read", _on_doctree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
