"""Recipes: TOML files whose every value carries its source, checked into typed specs.

A value stands either plain (`seed = 1`) or with where it comes from:

    tau_m_ms = { value = 20.0, source = "glorot2011", note = "figure 1, digitised" }

Units stand in the names. A table `[sources]` spells out each key; a recipe's `kind` says which spec
reads it.
"""

from __future__ import annotations

import reprlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from neurosparse._internal import cards, checks, share
from neurosparse._internal.names import did_you_mean, nearest
from neurosparse._internal.sizes import MOST_SEED
from neurosparse._internal.types import Fields
from neurosparse._internal.units import plain

MOST_BYTES = 1_000_000
MOST_LEVELS = 16
# what takes the recipes of a kind
COMMANDS = {
    "circuit": "neurosparse simulate RECIPE",
    "population": "neurosparse simulate RECIPE",
    "network": "neurosparse train RECIPE",
    "transformer": "neurosparse train RECIPE",
    "pretraining": "neurosparse claims --only 6",
    "lif_network": "neurosparse convert RECIPE",
    "lif": "neurosparse.spiking.load_lif(RECIPE), in Python",
    "train": "neurosparse sweep RECIPE",
    "simulate": "neurosparse sweep RECIPE",
    "convert": "neurosparse sweep RECIPE",
}
_NUMBERS: tuple[Any, ...] = (int, float, int | None, float | None)


Seed = Annotated[int, Field(ge=0, le=MOST_SEED)]


class Spec(BaseModel):
    """A typed, frozen spec.

    Unknown keys, NaN, infinity, and true or false for a number are refused: with a ValueError of
    one sentence, also where a spec is made in Python.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    elsewhere: ClassVar[str] = ""  # what to do with what no key of it says

    def __init__(self, **values: object) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _refusal(error, type(self), type(self).__name__) from None

    # pydantic goes on to check what stands within other specs itself, and knows their places
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    @field_validator("*", mode="before")
    @classmethod
    def _units_are_converted(cls, value: object, info: ValidationInfo) -> Any:
        try:
            converted = plain(info.field_name or "", value)
        except TypeError as error:  # which pydantic would let through as it is
            raise ValueError(str(error)) from None
        is_number = isinstance(converted, np.ndarray) and converted.ndim == 0
        return converted.item() if is_number else converted

    @field_validator("*", mode="before")
    @classmethod
    def _no_number_is_true_or_false(cls, value: object, info: ValidationInfo) -> Any:
        if (
            isinstance(value, bool)
            and cls.model_fields[info.field_name or ""].annotation in _NUMBERS
        ):
            raise ValueError(f"{info.field_name} must be a number, got {str(value).lower()}")
        return value

    def _repr_html_(self) -> str:
        return cards.card(type(self).__name__, dict(self))


S = TypeVar("S", bound=Spec)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as read: plain values, and the source of each by its dotted name."""

    name: str
    kind: str
    title: str
    values: Fields
    sources: dict[str, str] = field(repr=False)
    path: Path = field(repr=False)
    run_time: str = field(default="", repr=False)  # in words; empty where nobody has said

    @property
    def source(self) -> str:
        """The source that most of its values have; empty where none has one."""
        listed = list(self.sources.values())
        return max(dict.fromkeys(listed), key=listed.count).partition("; ")[0] if listed else ""

    def spec(self, spec_type: type[S], **overrides: object) -> S:
        """Return the recipe as a typed spec, `overrides` replacing values by their dotted names.

        Raises
        ------
        ValueError
            One sentence that names the recipe, the key and what is wrong with it.
        """
        values = _copy(self.values)
        for dotted, value in overrides.items():
            _put(values, dotted, value)
        return build(spec_type, values, what=f"recipe {self.name!r}")


def build(spec_type: type[S], values: Fields, *, what: str) -> S:
    """Return `values` as a `spec_type`; a ValueError of one sentence if they do not fit."""
    try:
        return spec_type.model_validate(values)
    except ValidationError as error:
        raise _refusal(error, spec_type, what) from None


def _refusal(error: ValidationError, spec_type: type[Spec], what: str) -> ValueError:
    """Return what pydantic found wrong as one sentence about `what`."""
    return ValueError(f"{what}: {'; '.join(_sentence(e, spec_type) for e in error.errors())}")


def expect(recipe: Recipe, *kinds: str) -> None:
    """Refuse a recipe that is not of one of these kinds.

    The ValueError names the command which takes it.
    """
    if recipe.kind not in kinds:
        wanted = " or ".join(map(repr, kinds))
        raise ValueError(
            f"recipe {recipe.name!r} is of kind {recipe.kind!r}, not {wanted}{_command(recipe)}"
        )


def _command(recipe: Recipe) -> str:
    command = COMMANDS.get(recipe.kind, "").replace("RECIPE", recipe.name)
    return command and f"; use: {command}"


def _sentence(error: Any, spec_type: type[Spec]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        before, _, last = key.rpartition(".")
        models = _models_at(spec_type, error["loc"][:-1])
        known = dict.fromkeys(name for model in models for name in model.model_fields)
        found = nearest(last, known)
        hint = f"the keys{f' of {before!r}' if before else ''} are {', '.join(known)}"
        hint += "".join(f"; {model.elsewhere}" for model in models if model.elsewhere)
        if found:
            hint = f"did you mean {f'{before}.{found}'.lstrip('.')!r}?"
        return f"unknown key {key!r}; {hint}"
    if error["type"] == "missing":
        return f"key {key!r} is missing"
    message = error["msg"].removeprefix("Value error, ")
    # our own sentence, whole
    if error["type"] == "value_error" and (not key or key.split(".")[-1] in message):
        result: str = message
        return result
    return f"{key or 'the recipe'}: {message}, got {reprlib.repr(error['input'])}"


def _models_at(model: type[Spec], place: Sequence[Any]) -> list[type[Spec]]:
    """Return the specs that may stand at a place in another one."""
    found: list[Any] = [model]
    for part in place:
        annotations = [m.model_fields[part].annotation for m in found if part in m.model_fields]
        # an entry of a list or a dict, or the name of a spec among several: they stay
        found = [each for a in annotations for each in _models_in(a)] if annotations else found
    return found


def _models_in(annotation: object) -> list[type[Spec]]:
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return [annotation]
    return [model for each in get_args(annotation) for model in _models_in(each)]


def available(*kinds: str) -> list[str]:
    """Return the names of the recipes that come with the package, of some kinds or of all."""
    names = (path.stem for path in sorted(share.folder("models").rglob("*.toml")))
    return [name for name in names if not kinds or load(name).kind in kinds]


def load(name_or_path: str | Path, *, kind: str | Sequence[str] = ()) -> Recipe:
    """Read a recipe: the name of one that comes with the package, or the path of a TOML file.

    Raises
    ------
    FileNotFoundError, ValueError
        Where there is none, it is not a recipe, or not one of `kind` or kinds, where they are
        given; one sentence.
    """
    kinds = (kind,) if isinstance(kind, str) else tuple(kind)
    path = _find(name_or_path, kinds)
    if path.stat().st_size > MOST_BYTES:
        raise ValueError(f"recipe {path} is larger than {MOST_BYTES:,} bytes: not a recipe")
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"recipe {path} is nested too deeply: not a recipe") from None
    # not TOML, not UTF-8, or an integer of more digits than Python reads
    except ValueError as error:
        raise ValueError(f"recipe {path} is not valid TOML: {error}") from None
    its_kind, title, sources = (
        table.pop("kind", None),
        table.pop("title", ""),
        table.pop("sources", {}),
    )
    run_time = table.pop("run_time", "")
    if not isinstance(its_kind, str) or not isinstance(title, str) or not isinstance(sources, dict):
        raise ValueError(
            f'recipe {path} needs a `kind` (such as "network"), a `title` and a table [sources]'
        )
    if not isinstance(run_time, str):
        raise ValueError(f"recipe {path}: run_time must be text, got {reprlib.repr(run_time)}")
    if wrong := [key for key, text in sources.items() if not isinstance(text, str)]:
        raise ValueError(
            f"recipe {path}: the source {wrong[0]!r} must be text, got"
            f" {reprlib.repr(sources[wrong[0]])}"
        )
    found: dict[str, str] = {}
    values = _plain(table, (), sources, found, path)
    recipe = Recipe(path.stem, its_kind, title, values, found, path, run_time)
    if kinds:
        expect(recipe, *kinds)
    return recipe


def _find(name_or_path: str | Path, kinds: Sequence[str]) -> Path:
    path = checks.path("name_or_path", name_or_path)
    if path.suffix == ".toml":
        if not path.is_file():
            raise FileNotFoundError(f"no recipe file {path}")
        return path
    matches = sorted(
        p for p in share.folder("models").rglob("*.toml") if p.stem == str(name_or_path)
    )
    if not matches:
        name, known = str(name_or_path), available(*kinds)
        others = did_you_mean(name, known) or did_you_mean(name, available())
        others = others and f"{others} `neurosparse recipes` lists all"
        raise FileNotFoundError(
            f"no recipe {str(name_or_path)!r}"
            + (others or f"; there are: {', '.join(known)}; or give the path of a .toml file")
        )
    return matches[0]


def _plain(
    node: object, place: tuple[str, ...], sources: dict[str, str], found: dict[str, str], path: Path
) -> Any:
    """Return `node` with each { value, source, note } replaced by its value.

    The source is put into `found`.
    """
    if len(place) > MOST_LEVELS:
        raise ValueError(
            f"recipe {path} is nested more than {MOST_LEVELS} levels deep: not a recipe"
        )
    if isinstance(node, list):
        return [
            _plain(child, (*place, str(i)), sources, found, path) for i, child in enumerate(node)
        ]
    if not isinstance(node, dict):
        return node
    if "value" not in node:
        return {
            key: _plain(child, (*place, key), sources, found, path) for key, child in node.items()
        }
    name = ".".join(place)
    if unknown := set(node) - {"value", "source", "note"}:
        raise ValueError(
            f"recipe {path}: unknown key {name + '.' + min(unknown)!r} beside value, source and"
            " note"
        )
    source, note = node.get("source"), node.get("note", "")
    if source is None:
        raise ValueError(
            f"recipe {path}: {name!r} has no source; name one of [sources], or write the value"
            " alone"
        )
    if not isinstance(source, str) or source not in sources:
        raise ValueError(
            f"recipe {path}: the source {source!r} of {name!r} is not listed in [sources]"
        )
    if not isinstance(note, str):
        raise ValueError(f"recipe {path}: the note of {name!r} must be text, got {note!r}")
    found[name] = "; ".join(filter(None, [sources[source], note]))
    return node["value"]


def _copy(node: object) -> Any:
    return {key: _copy(child) for key, child in node.items()} if isinstance(node, dict) else node


def _put(values: Fields, dotted: str, value: object) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        values = values.setdefault(parent, {})
        if not isinstance(values, dict):
            raise ValueError(f"cannot set {dotted!r}: {parent!r} is a value, not a table")
    values[last] = value


def check_spec(spec: object, kind: type[Spec]) -> None:
    """Refuse what is no spec of a kind with a TypeError."""
    name = kind.__name__
    checks.instance(
        "spec",
        spec,
        kind,
        f"make one, {name}(...), or take a recipe's: recipes.load(name).spec({name})",
    )
