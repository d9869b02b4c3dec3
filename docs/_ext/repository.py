"""Links from the docs to files of the repository that are not pages.

In the repository they are relative, so that they work there. On the site they lead to where the
repository is hosted; where that is not known they are the file's name.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?:\.\./)+[^)#\s]*)(#[^)]*)?\)")


def home(environment: dict[str, str] | None = None) -> str | None:
    """Return the address of the repository's files, None where no one says it."""
    told = os.environ if environment is None else environment
    if name := told.get("GITHUB_REPOSITORY"):
        return f"https://github.com/{name}/blob/main"
    if address := told.get("READTHEDOCS_GIT_CLONE_URL"):
        return f"{address.removesuffix('.git')}/blob/main"
    return None


def linked(text: str, folder: Path, docs: Path, base: str | None) -> str:
    """Return a page's text with its links out of the docs led to the repository."""

    def led(found: re.Match[str]) -> str:
        label, target = found[1], found[2]
        path = (folder / target).resolve()
        if path.is_relative_to(docs) or not path.is_relative_to(docs.parent):
            return found[0]
        name = path.relative_to(docs.parent).as_posix()
        if base:
            return f"[{label}]({base}/{name})"
        told = name in label.replace("`", "") or path.stem == label
        return label if told else f"{label} (`{name}`)"

    return LINK.sub(led, text)


def _on_source_read(app: Sphinx, page: str, source: list[str]) -> None:
    docs = Path(app.srcdir).resolve()
    source[0] = linked(source[0], (docs / page).parent, docs, home())


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call what is above."""
    app.connect("source-read", _on_source_read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
