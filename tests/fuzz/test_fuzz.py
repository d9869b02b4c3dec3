"""Files that were altered at random: each is read, or refused in one sentence; in a process that
would die of anything else.
"""

import json
import os
import re
import selectors
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, example, given, seed, settings
from hypothesis import strategies as st
from targets import TARGETS

MOST_MB = 256  # that reading files of a few kB may take
# a process that waits for nothing; one that computes is ended after seconds of its CPU time
MOST_S = 300

place = st.integers(0, 2**16)
numbers = st.sampled_from(
    [0, 1, 2**7, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1]
)
ALTERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), place, st.integers(0, 7)),
        st.tuples(st.just("cut"), place, st.none()),
        st.tuples(st.just("drop"), place, st.integers(1, 64)),
        st.tuples(st.just("insert"), place, st.binary(min_size=1, max_size=16)),
        st.tuples(st.just("splice"), place, place),
        st.tuples(st.just("number"), place, st.tuples(numbers, st.sampled_from([1, 2, 4, 8]))),
        st.tuples(
            st.just("digits"),
            place,
            st.sampled_from(["-1", "0", "1e999", "9" * 18, "9" * 5000, "NaN", "null", "[]"]),
        ),
        st.tuples(st.just("nest"), place, st.sampled_from([b"[", b'{"a":', b"("])),
    ),
    min_size=1,
    max_size=4,
)


def altered(content, alterations):
    for kind, where, what in alterations:
        at = where % (len(content) or 1)
        before, after = content[:at], content[at:]
        if kind == "flip":
            content = before + bytes([after[0] ^ 1 << what]) + after[1:] if after else b""
        elif kind == "cut":
            content = before
        elif kind == "drop":
            content = before + after[what:]
        elif kind == "insert":
            content = before + what + after
        elif kind == "splice":
            content = before + content[what % (len(content) or 1) :][:64] + after
        elif kind == "number":
            number, width = what
            content = before + number.to_bytes(8, "little")[:width] + after[width:]
        elif kind == "digits":
            content = before + re.sub(rb"\d+", what.encode(), after, count=1)
        else:
            content = before + 50_000 * what + after
    return content


class Child:
    """The process that reads."""

    def __init__(self):
        self.command = [sys.executable, str(Path(__file__).with_name("child.py"))]
        self.process = None

    def ask(self, name, folder, content):
        """What came of a file; the death or silence of the process is an answer too."""
        if self.process is None:
            pipes = {
                "stdin": subprocess.PIPE,
                "stdout": subprocess.PIPE,
                "stderr": subprocess.DEVNULL,
            }
            self.process = subprocess.Popen(
                self.command, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, **pipes
            )
        print(json.dumps([name, str(folder), content.hex()]), file=self.process.stdin, flush=True)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            line = self.process.stdout.readline() if selector.select(MOST_S) else ""
        if line:
            return json.loads(line)
        self.end()
        return ["died", f"exit code {self.code}", 0.0, 0.0]

    def end(self):
        self.process.kill()
        self.code = self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process = None


@pytest.fixture(scope="module")
def child():
    child = Child()
    yield child
    if child.process is not None:
        child.end()


def content_of(name, child, folder):
    """The content of a valid file, which is read."""
    content = TARGETS[name].valid(folder)
    (folder / TARGETS[name].file).unlink(missing_ok=True)
    outcome, said, *_ = child.ask(name, folder, content)  # imports what it needs
    assert outcome == "read", said
    return content


def faults(outcome, said, most_mb):
    """What is wrong with what came of a file."""
    found = [] if outcome in ("read", "refused") else [outcome]
    if "\n" in said.strip():
        found.append("no sentence")
    if outcome == "refused" and not said:
        found.append("nothing said")
    if most_mb > MOST_MB:
        found.append(f"{most_mb:.0f} MB")
    return found


def drawn(n, number):
    """The alterations of `n` files; the same for each number."""
    found = []

    @seed(number)
    @settings(max_examples=n, phases=[Phase.generate], derandomize=False, database=None)
    @given(ALTERATIONS)
    def draw(alterations):
        found.append(alterations)

    draw()
    return found


def check(name, child, folder, n):
    content = content_of(name, child, folder)

    @settings(max_examples=n)
    @given(ALTERATIONS)
    @example([("cut", 0, None)])
    def read_or_refused(alterations):
        outcome, said, most_mb, _ = child.ask(name, folder, altered(content, alterations))
        assert not faults(outcome, said, most_mb), said

    read_or_refused()


@pytest.mark.parametrize("name", TARGETS)
def test_whatever_a_file_is_it_is_read_or_refused(name, child, tmp_path):
    check(name, child, tmp_path, 25)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_many_more_files(name, child, tmp_path):
    check(name, child, tmp_path, 2000)
