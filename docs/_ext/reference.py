"""Pages of the reference that are written from the code: commands, recipes, Python's names."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sphinx.application import Sphinx

# What the package offers, in the order in which one meets it.
MODULES = (
    "neurosparse",
    "neurosparse.recordings",
    "neurosparse.sparsity",
    "neurosparse.spiking",
    "neurosparse.rectifier",
    "neurosparse.sparsify",
    "neurosparse.convert",
    "neurosparse.lif",
    "neurosparse.comparison",
    "neurosparse.plots",
    "neurosparse.report",
    "neurosparse.data",
    "neurosparse.reference",
    "neurosparse.energy",
    "neurosparse.meanfield",
    "neurosparse.simulation",
    "neurosparse.sweep",
    "neurosparse.claims",
    "neurosparse.transformer",
)

# a package that is also a function, and where that function stands in it
CALLABLE = {"sparsify": "sparsify.steering.sparsify"}


def public(module: ModuleType) -> list[str]:
    """Return the functions and classes that a module offers."""
    listed = getattr(module, "__all__", None)
    names = [n for n in dir(module) if not n.startswith("_")] if listed is None else listed
    found = []
    for name in names:
        what = getattr(module, name)
        here = listed is not None or getattr(what, "__module__", None) == module.__name__
        if here and (inspect.isclass(what) or inspect.isfunction(what)):
            found.append(name)
        elif inspect.ismodule(what) and callable(what) and what is not module:
            found.append(CALLABLE[name])
    return sorted(found, key=lambda name: (name[0].isupper(), name.lower()))


def offered() -> dict[str, list[str]]:
    """Return the public names of each module; one that several offer stands with the first."""
    names: dict[str, list[str]] = {}
    shown: list[object] = []
    for module in map(import_module, MODULES):
        found = {name: _named(module, name) for name in public(module)}
        new = [name for name, what in found.items() if not any(what is s for s in shown)]
        shown += [found[name] for name in new]
        names[module.__name__] = new
    return names


def _named(module: ModuleType, name: str) -> object:
    *inner, last = name.split(".")
    return getattr(import_module(".".join([module.__name__, *inner])), last)


def python_page() -> str:
    """Return the page of Python's public names, by module."""
    parts = ["# Python\n\nEvery public name, by the module that one imports it from.\n"]
    for name, names in offered().items():
        first = (inspect.getdoc(import_module(name)) or "").split("\n\n")[0].replace("\n", " ")
        rows = "\n".join(f"   {'~' if '.' in each else ''}{each}" for each in names)
        parts.append(
            f"## {name}\n\n{first}\n\n```{{eval-rst}}\n.. currentmodule:: {name}\n\n"
            f".. autosummary::\n   :toctree: api\n   :nosignatures:\n\n{rows}\n```\n"
        )
    return "\n".join(parts)


def remove_old(api: Path, names: dict[str, list[str]]) -> None:
    """Remove the pages of names that are no longer public."""
    wanted = {f"{module}.{name}" for module, found in names.items() for name in found}
    for path in api.glob("*.rst"):
        if path.stem not in wanted:
            path.unlink()


def _help(command: Any, name: str) -> str:
    import click

    context = click.Context(
        command,
        info_name=f"neurosparse {name}".strip(),
        terminal_width=80,
        help_option_names=["-h", "--help"],
    )
    return str(command.get_help(context))


def command_page() -> str:
    """Return the page of the commands: the help of each, as the terminal shows it."""
    from typer.main import get_command

    from neurosparse.cli import app

    top: Any = get_command(app)
    parts = [
        "# Command line\n\nThis is what `--help` shows. `neurosparse COMMAND --help` shows a part."
        f"\n\n## neurosparse\n\n```text\n{_help(top, '')}\n```\n"
    ]
    for name, command in top.commands.items():
        if command.hidden:
            continue
        parts.append(f"## {name}\n\n```text\n{_help(command, name)}\n```\n")
        for under, each in getattr(command, "commands", {}).items():
            parts.append(f"### {name} {under}\n\n```text\n{_help(each, f'{name} {under}')}\n```\n")
    return "\n".join(parts)


def recipe_page() -> str:
    """Return the page of the recipes, with every value and its source."""
    from neurosparse import recipes

    parts = [
        "# Recipes\n\nA recipe is a TOML file: a neuron, a circuit, a network or a sweep. Each"
        " value stands with its source. `neurosparse recipes` lists them in the terminal.\n"
    ]
    for kind, command in recipes.COMMANDS.items():
        found = [recipes.load(name) for name in recipes.available(kind)]
        if not found:
            continue
        parts.append(f"## {kind}\n\nUsed by `{command}`.\n")
        for recipe in found:
            takes = f" It runs for {recipe.run_time}." if recipe.run_time else ""
            text = Path(recipe.path).read_text(encoding="utf-8")
            parts.append(f"### {recipe.name}\n\n{recipe.title}.{takes}\n\n```toml\n{text}```\n")
    return "\n".join(parts)


PAGES = {"python": python_page, "command_line": command_page, "recipes": recipe_page}


def _on_start(app: Sphinx, config: object) -> None:
    for name, page in PAGES.items():
        path = Path(app.srcdir, "reference", f"{name}.md")
        text = page()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
    remove_old(Path(app.srcdir, "reference", "api"), offered())


# A star that opens emphasis and none that closes it; a bar, which would open a substitution.
MARKS = re.compile(r"(?<![\w*`])\*(?=\S)(?![^*`]*\w\*(?![\w*]))|(?<!\\)\|")


def plain(line: str) -> str:
    """Return a line of a docstring with what is meant as a star or a bar escaped."""
    parts = re.split(r"(`[^`]*`)", line)  # code stays as it is
    return "".join(p if k % 2 else MARKS.sub(lambda m: f"\\{m[0]}", p) for k, p in enumerate(parts))


def _on_docstring(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    # code, and parameters such as **options, stay as they are
    lines[:] = [x if x.lstrip().startswith((">>>", "...", "*")) else plain(x) for x in lines]


def setup(app: Sphinx) -> dict[str, bool]:
    """Let Sphinx call what is above, before it looks for pages."""
    app.connect("config-inited", _on_start)
    app.connect("autodoc-process-docstring", _on_docstring, priority=100)  # before napoleon
    return {"parallel_read_safe": True, "parallel_write_safe": True}
