"""Texts for networks that predict the next character: `load("plays")`, or any text of one's own.

A text is an array of numbers, one a character; its characters are those of the training part. What
stands only in the other parts becomes the last character of all, `UNKNOWN`.
"""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal import checks

NAMES = ("plays",)
UNKNOWN = "\N{REPLACEMENT CHARACTER}"
MOST_BYTES = 2**30  # of a text, all files together
MOST_CHARACTERS = 256  # of an alphabet, UNKNOWN among them: a character is a byte
SUFFIXES = (".txt", ".md")
LEAST = 100  # characters of each part

PLAYS = Path(__file__).parent / "plays"
PLAYS_FILE = "plays.txt.xz"
PLAYS_SHA256 = "7b5ca721ede9b6483514b5e75ca63d422f0300555cb26f9ea332af314a81bdbd"
VALIDATION_PLAYS = ("macbeth", "the-tempest")
TEST_PLAYS = ("as-you-like-it", "henry-v")


@dataclass(frozen=True, slots=True)
class TextSplits:
    """A text in three parts, each an array of uint8 that counts within `alphabet`."""

    name: str
    alphabet: str  # ends in UNKNOWN
    train: NDArray[np.uint8]
    validation: NDArray[np.uint8]
    test: NDArray[np.uint8]

    def text(self, numbers: Sequence[int] | NDArray[np.integer]) -> str:
        """Return the characters that numbers stand for."""
        return "".join(self.alphabet[int(k)] for k in numbers)


def load(name: str | Path, *, data_dir: str | Path | None = None) -> TextSplits:
    """Read a text and split it into training, validation and test.

    Parameters
    ----------
    name
        "plays": 38 plays of Shakespeare, which come with the package; Macbeth and The Tempest are
        for validation, As You Like It and Henry V for the test. Or the path of a UTF-8 file, whose
        last tenth is the test and the tenth before it validation. Or the path of a folder of at
        least three such files (.txt, .md), which are split in the same shares, in the order of
        their names.
    data_dir
        The folder that holds the file of the plays, instead of the package's own.

    Raises
    ------
    FileNotFoundError
        Where there is no such file, or no text in the folder.
    ValueError
        For an unknown name, a file that is altered or not UTF-8, and a text that is too short or
        too long; one sentence.

    Examples
    --------
    >>> plays = load("plays")
    >>> plays.text(plays.test[:14])
    'As You Like It'
    """
    if name == "plays":
        train, validation, test = _plays(
            PLAYS if data_dir is None else checks.path("data_dir", data_dir)
        )
        return encoded("plays", train, validation, test)
    path = checks.path("name", name)
    if path.is_dir():
        return encoded(path.name, *_of_folder(path))
    if not path.is_file():
        known = ", ".join(NAMES)
        raise FileNotFoundError(
            f"no text {str(name)!r}; there are: {known}, or the path of a UTF-8 file or of a folder"
            " of them"
        )
    return encoded(path.name, *_cut(_read(path)))


def encoded(name: str, train: str, validation: str, test: str) -> TextSplits:
    """Return three parts of a text as numbers, by the characters of the first.

    Raises
    ------
    ValueError
        Where a part has fewer than 100 characters.

    Examples
    --------
    >>> encoded("x", "ab" * 50, "ba" * 50, "ac" * 50).test[:2]
    array([0, 2], dtype=uint8)
    """
    for part, text in (("training", train), ("validation", validation), ("test", test)):
        if len(text) < LEAST:
            raise ValueError(
                f"the {part} part of {name!r} has {len(text)} characters, at least {LEAST} are"
                " needed: give a longer text"
            )
    seen, counts = np.unique(_points(train), return_counts=True)
    kept = np.sort(seen[np.argsort(-counts, kind="stable")][: MOST_CHARACTERS - 1])
    alphabet = "".join(map(chr, kept.tolist())) + UNKNOWN
    parts = [_numbers(text, kept) for text in (train, validation, test)]
    return TextSplits(name, alphabet, *parts)


def _points(text: str) -> NDArray[np.uint32]:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)


def _numbers(text: str, kept: NDArray[np.uint32]) -> NDArray[np.uint8]:
    points = _points(text)
    places = np.searchsorted(kept, points).clip(max=len(kept) - 1)
    return np.where(kept[places] == points, places, len(kept)).astype(np.uint8)


def _plays(folder: Path) -> tuple[str, str, str]:
    path = folder / PLAYS_FILE
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: the plays come with the package, reinstall it")
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != PLAYS_SHA256:
        raise ValueError(
            f"{path} is truncated or altered: its SHA-256 is {digest[:12]}..., expected"
            f" {PLAYS_SHA256[:12]}...; reinstall the package"
        )
    parts = {"train": "", "validation": "", "test": ""}
    for play in lzma.decompress(content).decode("ascii").split("\f")[1:]:
        title, _, text = play.partition("\n")
        is_test, is_validation = title in TEST_PLAYS, title in VALIDATION_PLAYS
        parts["test" if is_test else "validation" if is_validation else "train"] += text
    return parts["train"], parts["validation"], parts["test"]


def _of_folder(folder: Path) -> tuple[str, str, str]:
    paths = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in SUFFIXES)
    if not paths:
        raise FileNotFoundError(f"no text in {folder}: put .txt or .md files there")
    size = sum(p.stat().st_size for p in paths)
    if size > MOST_BYTES:
        raise ValueError(f"{folder} holds {size:,} bytes of text, more than {MOST_BYTES:,}")
    texts = [_read(path) for path in paths]
    if len(texts) < 3:
        return _cut("".join(texts))
    aside = max(1, len(texts) // 10)
    train, rest = texts[: -2 * aside], texts[-2 * aside :]
    return "".join(train), "".join(rest[:aside]), "".join(rest[aside:])


def _cut(text: str) -> tuple[str, str, str]:
    aside = len(text) // 10
    first, second = len(text) - 2 * aside, len(text) - aside
    return text[:first], text[first:second], text[second:]


def _read(path: Path) -> str:
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{path} has {size:,} bytes, more than {MOST_BYTES:,}")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start:,}"
        ) from None
