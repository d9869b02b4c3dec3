"""Folders that come with the package: the recipes and the numbered scripts.

Also the reader of such a script's options.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """Return the folder `models` or `simulations`.

    It is at the top of a clone, and inside the package once installed.
    """
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def parser(doc: str | None) -> ArgumentParser:
    """Return the command line of a numbered script; its help is the script's docstring."""
    return ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
