"""The program: its commands are added by the modules beside this one."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any

import typer

from neurosparse.cli import boundary
from neurosparse.cli.boundary import BAD_INPUT, INTERRUPTED

__all__ = ["BAD_INPUT", "INTERRUPTED", "app", "main"]

INTRODUCTION = """\
neurosparse says how sparse something is: which share of
its units is active at once. It measures spiking circuits,
networks and recordings the same way.

Three things to try:

  neurosparse simulate cortical_population
      a small spiking circuit: how many of its neurons fire
      in 10 ms?
  neurosparse train rectifier_l1
      a network that is trained to be sparse: how many of
      its units does an image use?
  neurosparse measure FILE --out FOLDER
      spikes of your own (.npz, .nwb, ...): the same, with
      figures and a page

`neurosparse recipes` lists the circuits and networks that
come along, `neurosparse --help` all commands.
"""

NAME = "neurosparse"

app = typer.Typer(
    name=NAME,
    help="Say how sparse circuits, networks and recordings are, measured the same way.",
    epilog="Shell completion: neurosparse --install-completion",
    rich_markup_mode=None,  # plain help: rich takes as long to load as all the rest
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"neurosparse {version('neurosparse')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Say which version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="With any command: show where an error comes from.")
    ] = False,
) -> None:
    """Say how sparse circuits, networks and recordings are, measured the same way."""
    if context.invoked_subcommand is None:
        print(INTRODUCTION, end="")


def main() -> None:
    """Run the command line.

    Whatever fails is one sentence and exit code 2 (with --debug, the traceback too). Ctrl-C is exit
    code 130, SIGTERM 143.
    """
    arguments = sys.argv[1:]
    ours = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in ours
    rest = [word for word in ours if word != "--debug"] + arguments[len(ours) :]
    sys.exit(boundary.run(lambda: _run(rest), debug=debug))


def _run(arguments: list[str]) -> int:
    """Run a command; what it raises passes through as it is, but for the end that it asks for."""
    if f"_{NAME.upper()}_COMPLETE" in os.environ:  # a shell asks what may follow
        app(args=arguments, prog_name=NAME)
    command: Any = typer.main.get_command(app)
    chosen = next((word for word in arguments if word in command.commands), "")
    boundary.takes(_options(command.commands[chosen]) if chosen else {})
    try:
        with command.make_context(NAME, arguments) as context:
            return int(command.invoke(context) or 0)
    except typer.Exit as ended:
        return ended.exit_code


def _options(command: Any) -> dict[str, tuple[str, str]]:
    """Return the flag of each option of a command and what it takes, by the argument's name."""
    return {
        each.name: (each.opts[0], each.metavar or each.name.upper())
        for each in command.params
        if each.opts[0].startswith("--")
    }
