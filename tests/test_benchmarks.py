"""The machinery of benchmarks/, with jobs that only count."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

ROOT = Path(__file__).parents[1]

COUNTING = """
import sys
from pathlib import Path
from pairs import in_turn, row, show

TALLY = Path({tally!r})

def ours():
    with TALLY.open("a") as file:
        file.write("x")
    n = len(TALLY.read_text())
    if n == {fails_at}:
        sys.exit(3)
    return float(n)

mine, theirs = in_turn(ours, lambda: 12.0, 4)
again, _ = in_turn(ours, lambda: 1.0, 2)
show([row("counting", "nobody", "calls", mine, theirs, "-"), row("again", "nobody", "calls", again, None, "-")])
"""


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """`benchmarks/run.py` in a folder of its own, whose one benchmark is `counting`."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'benchmarks'}:{ROOT}")
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    monkeypatch.syspath_prepend(str(tmp_path))
    run = importlib.import_module("run")
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "NAMES", ("counting",))
    monkeypatch.setattr(run, "LOOK_S", 0.01)
    forget(run)
    yield run
    forget(run)
    sys.modules.pop("run")
    sys.modules.pop("pairs")


def forget(run):
    """What is kept of sources: they change here within a process."""
    from neurosparse.sweep import closure

    for kept in (run.code, run.commit, closure.source, closure.path_of, closure._root):
        kept.cache_clear()


def counting(folder, fails_at=-1):
    text = COUNTING.format(tally=str(folder / "tally"), fails_at=fails_at)
    (folder / "counting.py").write_text(text)


def calls(folder):
    return len((folder / "tally").read_text())


def test_a_run_that_was_stopped_goes_on_behind_its_last_pair(bench, tmp_path):
    counting(tmp_path, fails_at=3)
    assert bench.run("counting", tmp_path / "out") is None
    assert calls(tmp_path) == 3
    rows = bench.run("counting", tmp_path / "out")
    # two pairs stood; the third was tried again as the fourth call
    assert calls(tmp_path) == 3 + 2 + 2
    assert [row["ours"] for row in rows] == [3.0, 6.5]
    assert rows[0]["ratio"] == {"median": 4.5, "min": 2.4, "max": 12.0}
    assert rows[0]["range"] == [1.0, 5.0]
    assert (rows[1]["ratio"], rows[1]["n"]) == (None, 2)
    assert not list((tmp_path / "out" / "journal").iterdir())
    for key in ("cpu", "cores", "commit", "code", "load", "date"):
        assert key in rows[0]


def test_pairs_of_other_code_are_not_taken(bench, tmp_path):
    counting(tmp_path, fails_at=3)
    bench.run("counting", tmp_path / "out")
    text = (tmp_path / "counting.py").read_text()
    (tmp_path / "counting.py").write_text(text.replace("12.0", "24.0"))
    forget(bench)
    rows = bench.run("counting", tmp_path / "out")
    assert calls(tmp_path) == 3 + 6
    assert rows[0]["ratio"]["max"] == 6.0


def test_rows_older_than_their_code_are_stale_and_measured_again(bench, tmp_path):
    counting(tmp_path)
    rows = bench.run("counting", tmp_path / "out")
    path = tmp_path / "results.json"
    bench.write(path, {"counting": rows})
    assert bench.standing_rows(path, ("counting",)) == {"counting": rows}
    rows[0]["load"] = 0.0
    assert bench.state(rows[0]) == ""
    assert bench.state(rows[0] | {"load": 1.5}) == "busy"
    text = (tmp_path / "counting.py").read_text()
    (tmp_path / "counting.py").write_text("# a comment is no change\n" + text)
    forget(bench)
    assert bench.state(rows[0]) == ""
    (tmp_path / "counting.py").write_text(text + "import neurosparse.energy\n")
    forget(bench)
    assert bench.state(rows[0]) == "stale"
    assert bench.standing_rows(path, ("counting",)) == {}
    assert bench.table(rows).splitlines()[2].endswith("| stale |")


def test_what_others_take_is_that_of_the_look_and_not_of_the_minute_before(bench, monkeypatch):
    """Counters by hand: of 200 ticks, 120 idle and 20 waiting for a disk."""
    looks = iter(["cpu 900 0 100 50 50 0 0 0 0 0", "cpu 950 0 110 170 70 0 0 0 0 0"])
    stat = SimpleNamespace(exists=lambda: True, read_text=lambda: next(looks))
    monkeypatch.setattr(bench, "PROC_STAT", stat)
    assert bench.taken(0.0) == pytest.approx(0.3)
    monkeypatch.setattr(bench, "PROC_STAT", Path("nowhere"))
    monkeypatch.setattr(bench.os, "getloadavg", lambda: (1.0, 0.0, 0.0))
    monkeypatch.setattr(bench.os, "cpu_count", lambda: 4)
    assert bench.taken(0.0) == 0.25


def test_what_a_benchmark_imports_beside_it_counts(bench, tmp_path):
    (tmp_path / "counting.py").write_text("import beside\nfrom neurosparse import energy\n")
    (tmp_path / "beside.py").write_text("x = 1\n")
    before = bench.code("counting")
    (tmp_path / "beside.py").write_text("x = 2\n")
    forget(bench)
    assert bench.code("counting") != before


def test_a_benchmark_that_takes_too_long_is_stopped(bench, tmp_path, capsys):
    (tmp_path / "counting.py").write_text("import time\ntime.sleep(60)\n")
    assert bench.run("counting", tmp_path / "out", seconds=0.5) is None
    assert "no time was left" in capsys.readouterr().err


def test_a_table_keeps_the_rows_of_others_and_calls_them_stale(bench, tmp_path):
    counting(tmp_path)
    rows = bench.run("counting", tmp_path / "out")
    others = "| other | - | s | 1 | - | - | - | 1 | a CPU, 2 | abc | 2026-01-01 | |"
    head = "\n".join(bench.table([]).splitlines())
    once = bench.merged(f"{head}\n{others}\n| counting | nobody | old |", rows)
    assert once.splitlines()[2].endswith("| 2026-01-01 | stale |")
    assert "old" not in once
    assert once.count("| counting |") == 1
    assert bench.merged(once, rows) == once
    assert len({line.count("|") for line in once.splitlines()}) == 1


def test_how_many_pairs(bench, monkeypatch):
    pairs = importlib.import_module("pairs")
    assert (pairs.enough(9.9), pairs.enough(10.0)) == (7, 5)
    monkeypatch.setenv(pairs.QUICK, "1")
    assert pairs.enough(0.1) == 3
    assert pairs.repeated(lambda: 2.0) == [2.0] * 3


def result(job, ratio=None, ours=(1.0, 1.0, 1.0), n=5, cpu="a CPU"):
    low, middle, high = ratio or (0, 0, 0)
    return {
        "job": job,
        "peer": "-",
        "unit": "s",
        "ours": ours[1],
        "range": [ours[0], ours[2]],
        "ratio": {"min": low, "median": middle, "max": high} if ratio else None,
        "n": n,
        "cpu": cpu,
        "cores": 2,
    }


def compared(tmp_path, before, after, capsys):
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        compare = importlib.import_module("compare")
    finally:
        sys.path.pop(0)
    for name, rows in (("a", before), ("b", after)):
        (tmp_path / name).write_text(json.dumps(rows))
    status = compare.main([str(tmp_path / "a"), str(tmp_path / "b")])
    return status, capsys.readouterr().out


def test_what_fell_by_more_than_its_own_range_is_named(tmp_path, capsys):
    before = [
        result("steady", (4.0, 5.0, 6.0)),
        result("fallen", (4.0, 5.0, 6.0)),
        result("slower", ours=(1.0, 1.1, 1.2)),
        result("once", (5.0, 5.0, 5.0), n=1),
        result("gone", (1.0, 1.0, 1.0)),
    ]
    after = [
        result("steady", (3.0, 3.5, 4.5)),  # 1.5 less, and a range of 2
        result("fallen", (2.4, 2.5, 2.6)),
        result("slower", ours=(1.3, 1.35, 1.4)),
        result("once", (1.0, 1.0, 1.0), n=1),
    ]
    status, said = compared(tmp_path, before, after, capsys)
    assert status == 1
    assert "fallen, -, s: ratio 5 -> 2.5, range 2" in said
    assert "slower, -, s: ours 1.1 -> 1.35, range 0.2" in said
    assert "steady" not in said
    assert "2 of 3 rows fell; 1 of one measurement not judged; only before: 1" in said


def test_nothing_fell(tmp_path, capsys):
    rows = [result("steady", (4.0, 5.0, 6.0)), result("faster", ours=(1.0, 1.1, 1.2))]
    better = [result("steady", (7.0, 8.0, 9.0)), result("faster", ours=(0.1, 0.2, 0.3), cpu="b")]
    status, said = compared(tmp_path, rows, better, capsys)
    assert status == 0
    assert said.startswith(
        "the rows come from several machines: a CPU, 2 cores; b, 2 cores\n0 of 2"
    )
