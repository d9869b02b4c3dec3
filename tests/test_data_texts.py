"""Texts: the plays as they are, anybody's files, and what is refused."""

import shutil

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

from neurosparse.data import texts


def test_the_plays_are_split_by_play():
    plays = texts.load("plays")
    whole = {part: plays.text(getattr(plays, part)) for part in ("train", "validation", "test")}
    assert "ORLANDO" in whole["test"]
    assert "Once more unto the breach" in whole["test"]
    assert "Is this a dagger which I see before me" in whole["validation"]
    assert "PROSPERO" in whole["validation"]
    assert "To be, or not to be" in whole["train"]
    assert "Once more unto the breach" not in whole["train"]
    assert len(plays.train) + len(plays.validation) + len(plays.test) == 4_988_086
    assert len(plays.alphabet) == 82
    assert (plays.test < 81).all()


def test_the_plays_from_another_folder(tmp_path):
    shutil.copy(texts.PLAYS / texts.PLAYS_FILE, tmp_path)
    assert np.array_equal(texts.load("plays", data_dir=tmp_path).test, texts.load("plays").test)


@pytest.mark.parametrize("spoil", [lambda b: b[:-1], lambda b: b[:100] + b"x" + b[101:]])
def test_altered_plays_are_refused(tmp_path, spoil):
    (tmp_path / texts.PLAYS_FILE).write_bytes(spoil((texts.PLAYS / texts.PLAYS_FILE).read_bytes()))
    with pytest.raises(ValueError, match="is truncated or altered: its SHA-256"):
        texts.load("plays", data_dir=tmp_path)


def test_missing_plays(tmp_path):
    with pytest.raises(FileNotFoundError, match="the plays come with the package"):
        texts.load("plays", data_dir=tmp_path)


@settings(max_examples=50, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1000, max_size=1500))
def test_a_file_of_ones_own_comes_back(tmp_path_factory, text):
    text = text.replace("\r", " ").replace("\ufeff", " ")
    path = tmp_path_factory.mktemp("texts") / "own.txt"
    path.write_bytes(text.encode())
    found = texts.load(path)
    train, validation, test = texts._cut(text)
    known = set(found.alphabet[:-1])
    for part, numbers in ((train, found.train), (validation, found.validation), (test, found.test)):
        assert found.text(numbers) == "".join(c if c in known else texts.UNKNOWN for c in part)
    assert len(found.alphabet) <= texts.MOST_CHARACTERS


def test_a_folder_is_split_by_file(tmp_path):
    for k in range(10):
        (tmp_path / f"{k}.txt").write_text(str(k) * 200, encoding="utf-8")
    (tmp_path / "notes.pdf").write_bytes(b"\xff\xfe")
    found = texts.load(tmp_path)
    assert set(found.text(found.train)) == set("01234567")
    assert set(found.text(found.validation)) == {texts.UNKNOWN}
    assert found.alphabet == "01234567" + texts.UNKNOWN


def test_a_folder_of_one_file_is_cut(tmp_path):
    (tmp_path / "a.md").write_text("ab" * 1000, encoding="utf-8")
    found = texts.load(tmp_path)
    assert (len(found.train), len(found.validation), len(found.test)) == (1600, 200, 200)


def test_more_characters_than_a_byte_counts():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 400))) + "a" * 500
    found = texts.encoded("x", text, "a" * 100, "\u4e00" * 100)
    assert len(found.alphabet) == 256
    assert "a" in found.alphabet


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: p / "none.txt", FileNotFoundError, "no text .*none.txt'; there are: plays"),
        (lambda p: p, FileNotFoundError, "put .txt or .md files there"),
        (lambda p: _file(p, b"a\xff" * 2000), ValueError, "is not UTF-8 text: .* at byte 1"),
        (lambda p: _file(p, b"a" * 999), ValueError, "validation part of 'f.txt' has 99 char"),
        (lambda p: _file(p, b""), ValueError, "training part of 'f.txt' has 0 characters"),
    ],
)
def test_what_is_refused(tmp_path, make, error, message):
    with pytest.raises(error, match=message):
        texts.load(make(tmp_path))


def test_a_text_that_is_too_long(tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "MOST_BYTES", 50)
    with pytest.raises(ValueError, match="has 60 bytes, more than 50"):
        texts.load(_file(tmp_path, b"a" * 60))
    with pytest.raises(ValueError, match="holds 60 bytes of text, more than 50"):
        texts.load(tmp_path)


def _file(folder, content):
    path = folder / "f.txt"
    path.write_bytes(content)
    return path
