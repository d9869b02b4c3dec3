"""The command line, as a test runs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from neurosparse import cli


def run(*words: str | Path) -> int:
    """The exit code of the command line."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["neurosparse", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)
