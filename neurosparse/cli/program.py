"""The program: its commands are added by the modules beside this one."""

from __future__ import annotations

import sys

import typer

BAD_INPUT, INTERRUPTED = 2, 130

app = typer.Typer(
    name="neurosparse",
    help=(
        "How sparse is it: a spiking circuit, a rectifier network and a brain, measured the same"
        " way."
    ),
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich takes as long to load as all the rest
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command line; bad input is one sentence and exit code 2, Ctrl-C is exit code 130, a
    bug is a traceback.
    """
    try:
        app()
    except (ValueError, OSError) as error:
        print(f"neurosparse: {error}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print(
                "neurosparse: stopped; what was complete and checkpoints are kept", file=sys.stderr
            )
        raise
