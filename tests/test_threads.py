"""Work in threads: results in order, progress as a whole, and an end to all of it where one
fails.
"""

import threading
from concurrent.futures import CancelledError

import pytest

from neurosparse._internal.threads import run_in_threads
from neurosparse.progress import quiet


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_are_in_order(n_threads) -> None:
    assert run_in_threads(lambda k, _: k * k, "abcdefg", n_threads, quiet) == [
        k * k for k in range(7)
    ]
    assert run_in_threads(lambda k, _: k, [], n_threads, quiet) == []


def test_progress_is_that_of_all() -> None:
    told = []
    run_in_threads(
        lambda k, part: part(1.0, "done"), ["first", "second"], 1, lambda *words: told.append(words)
    )
    assert told == [
        (0.0, "first: begins"),
        (0.5, "first: done"),
        (0.5, "second: begins"),
        (1.0, "second: done"),
    ]


def test_a_failure_ends_what_is_under_way_and_begins_nothing() -> None:
    under_way, ended, begun = threading.Event(), [], []

    def work(k, part) -> None:
        begun.append(k)
        if k == 1:
            under_way.wait()
            raise KeyboardInterrupt("of the second")
        try:
            while True:  # the first in order ends by no other way
                part(0.5, "under way")
                under_way.set()
        except CancelledError:
            ended.append(k)
            raise

    with pytest.raises(KeyboardInterrupt, match="of the second"):
        run_in_threads(work, "abcde", 2, quiet)
    assert (sorted(begun), ended) == ([0, 1], [0])


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    from neurosparse._internal.threads import cores

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores() == 1
    monkeypatch.delattr(os, "sched_getaffinity")
    assert cores() == 64
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores() == 1
