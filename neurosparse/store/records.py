"""Records of runs and how they are written: JSON that carries its own checksum."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field, ValidationError

from neurosparse._internal import checks
from neurosparse._internal.types import Fields
from neurosparse.recipes import Spec

MOST_BYTES = 16_000_000  # of a record

_SEAL = b',"sha256":"'

Row = Fields  # column -> true, false, a number, text or None


class DamageError(ValueError):
    """A run's place holds something else; the message says what."""


class File(Spec):
    """A file of a run."""

    bytes: int
    sha256: str


class Run(Spec):
    """A complete run: its manifest.

    Parameters
    ----------
    label
        What sets it apart in its sweep: settings and seed.
    spec
        All that was asked for.
    code
        The fingerprint of the code that computed it.
    rows
        Its lines of the table.
    seconds
        What its last try took.
    files
        Its files by their paths within its folder.
    """

    format: Literal["neurosparse.run/1"] = "neurosparse.run/1"
    key: str
    kind: str
    label: Fields
    spec: Fields = Field(repr=False)
    code: str
    rows: tuple[dict[str, bool | int | float | str | None], ...] = Field(repr=False)
    seconds: float
    files: dict[str, File] = Field(repr=False)

    @property
    def n_bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files.values())

    def table(self, label: Mapping[str, object] | None = None) -> list[Row]:
        """Return its rows with its key and its label, or another, before them."""
        before = {
            name: value if isinstance(value, int | float | str) else json.dumps(value)
            for name, value in (self.label if label is None else label).items()
        }
        return [{"run": self.key, **before, **row} for row in self.rows]


class Failure(Spec):
    """A run that ended in an error of its own.

    It holds the error in one line, and its traceback where there is one.
    """

    format: Literal["neurosparse.failure/1"] = "neurosparse.failure/1"
    key: str
    kind: str
    label: Fields
    error: str
    details: str = Field(default="", repr=False)


Record = TypeVar("Record", Run, Failure)


def key(kind: str, spec: Mapping[str, object], code: str) -> str:
    """Return the name of a run, 32 hexadecimal digits.

    It is the start of a SHA-256 of the run's kind, its spec in canonical JSON, and the fingerprint
    of the code.

    Examples
    --------
    >>> key("train", {"l1": 0.001, "seed": 1}, "c0de") == key("train", {"seed": 1, "l1": 0.001}, "c0de")
    True
    """  # noqa: E501
    checks.instance("kind", kind, str)
    checks.instance("spec", spec, Mapping)
    checks.instance("code", code, str)
    return hashlib.sha256(_canonical({"kind": kind, "spec": spec, "code": code})).hexdigest()[:32]


def write_record(record: Run | Failure, path: Path) -> None:
    """Write a record: canonical JSON, whose last entry is the checksum of all before it."""
    content = _canonical(record.model_dump(mode="json"))
    path.write_bytes(content[:-1] + _seal(content))


def read_record(record_type: type[Record], path: Path) -> Record:
    """Read what `write_record` wrote. DamageError, which says why, for anything else."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            text = file.readall() if os.fstat(descriptor).st_size <= MOST_BYTES else None
    except OSError as error:
        raise DamageError(f"{path.name} cannot be read: {error.strerror}") from None
    if text is None:
        raise DamageError(f"{path.name} is larger than {MOST_BYTES:,} bytes")
    try:
        return record_type.model_validate_json(_unsealed(text))
    except DamageError:
        raise DamageError(f"{path.name} is not as it was written") from None
    except ValidationError:
        raise DamageError(f"{path.name} is not that of a run") from None
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError):
        raise DamageError(f"{path.name} is empty, cut off or not a record") from None


def _unsealed(text: bytes) -> bytes:
    """Return the content of a record without its checksum, which must be right."""
    content = text[: text.rfind(_SEAL)] + b"}"
    if text.endswith(_seal(content)):
        return content
    parsed = json.loads(text)  # laid out otherwise: older versions indented it
    expected, content = parsed.pop("sha256"), _canonical(parsed)
    if expected != hashlib.sha256(content).hexdigest():
        raise DamageError
    return content


def _seal(content: bytes) -> bytes:
    return _SEAL + f'{hashlib.sha256(content).hexdigest()}"}}\n'.encode()


def _canonical(content: object) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
