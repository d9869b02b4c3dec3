"""What is shared beside the package: where the recipes and the numbered scripts lie, and how such a
script reads its options.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parents[1]


def folder(name: str) -> Path:
    """The folder `models` or `simulations`: at the top of a clone, inside the package once
    installed.
    """
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def parser(doc: str | None) -> ArgumentParser:
    """The command line of a numbered script; its help is the script's docstring."""
    return ArgumentParser(description=doc, formatter_class=RawDescriptionHelpFormatter)
