"""The store: a run is there whole or not at all, damage is found and put away, and one process at a
time works on a run.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurosparse import store
from neurosparse.store import DamageError, records

LABEL = {"l1": 0.001, "seed": 1}
ROWS = [
    {"error": 0.1, "layer": "hidden1", "n": 3, "none": None},
    {"error": 0.2, "layer": "hidden2", "n": 4, "none": None},
]


def put(directory, seed=1, rows=ROWS, content=b"weights" * 100):
    """A complete run of two files; its key."""
    spec = {"training": {"l1": 0.001, "seed": seed}}
    key = store.key("train", spec, "c0de")
    with store.claim(directory, key) as claim:
        claim.prepare()
        (claim.folder / "weights.bin").write_bytes(content)
        (claim.folder / "deep").mkdir()
        (claim.folder / "deep" / "more.txt").write_text("more")
        claim.checkpoint.write_text("a checkpoint")
        (claim.temporary / "rest").write_text("rest")
        claim.complete(
            kind="train",
            label=LABEL | {"seed": seed},
            spec=spec,
            code="c0de",
            rows=rows,
            seconds=1.5,
        )
    return key


@pytest.fixture
def directory(tmp_path):
    return store.open_directory(tmp_path / "store")


def names(directory):
    return sorted(str(p.relative_to(directory)) for p in directory.rglob("*") if p.is_file())


def quarantined(directory):
    """What is in quarantine, and the reasons."""
    everything = list((directory / "quarantine").iterdir())
    reasons = [p.read_text() for p in everything if p.name.endswith(".reason.txt")]
    return [p for p in everything if not p.name.endswith(".reason.txt")], reasons


# ---- A run
# --------------------------------------------------------------------------------------------------


def test_a_complete_run_is_read_as_written_and_nothing_else_is_left(directory):
    key = put(directory)
    run = store.read(directory, key)
    assert run.key == key
    assert run.label == LABEL
    assert run.seconds == 1.5
    assert list(run.rows) == ROWS
    assert run.files["weights.bin"].bytes == 700
    assert run.n_bytes == 704
    assert names(directory) == [
        f"runs/{key}/{name}" for name in ("deep/more.txt", "manifest.json", "weights.bin")
    ]
    assert run.table()[1] == {"run": key, **LABEL, **ROWS[1]}
    assert run.table({"sizes": [3, 2]})[0]["sizes"] == "[3, 2]"


def test_a_key_is_of_the_content_and_not_of_its_order():
    spec = {"a": 1, "b": {"c": 0.1, "d": [1, 2]}}
    key = store.key("train", spec, "c0de")
    assert key == store.key("train", {"b": {"d": [1, 2], "c": 0.1}, "a": 1}, "c0de")
    others = [
        ("simulate", spec, "c0de"),
        ("train", spec, "code"),
        ("train", {**spec, "a": 2}, "c0de"),
    ]
    assert len({key, *(store.key(*other) for other in others)}) == 4
    with pytest.raises(ValueError):
        store.key("train", {"a": float("nan")}, "c0de")


def test_what_is_not_completed_leaves_the_checkpoint_alone(directory):
    key = store.key("train", {}, "c0de")
    with store.claim(directory, key) as claim:
        claim.prepare()
        (claim.folder / "weights.bin").write_text("half")
        claim.checkpoint.write_text("epoch 3")
    assert store.read(directory, key) is None
    assert names(directory) == [f"partial/{key}/checkpoint.safetensors"]
    with store.claim(directory, key) as claim:
        claim.prepare()
        assert claim.checkpoint.read_text() == "epoch 3"
        assert not any(claim.folder.iterdir())


def test_a_failure_is_noted_and_forgotten_when_the_run_is_tried_again(directory):
    key = store.key("train", {}, "c0de")
    with store.claim(directory, key) as claim:
        claim.prepare()
        claim.fail(kind="train", label=LABEL, error="ValueError: diverged", details="Traceback ...")
    assert store.failures(directory)[key].error == "ValueError: diverged"
    assert names(directory) == [f"failed/{key}.json"]
    with store.claim(directory, key) as claim:
        claim.prepare()
    assert store.failures(directory) == {}


def test_a_record_carries_its_checksum_however_it_is_laid_out(directory):
    manifest = directory / "runs" / (key := put(directory)) / "manifest.json"
    run, content = store.read(directory, key), json.loads(manifest.read_text())
    sha256 = content.pop("sha256")
    assert (
        sha256
        == hashlib.sha256(
            json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
        ).hexdigest()
    )
    resigned(manifest)
    assert store.read(directory, key) == run


def test_a_run_that_is_computed_anew_does_not_overwrite(directory):
    key = put(directory)
    assert put(directory) == key
    assert store.read(directory, key) is not None
    (old,), (reason,) = quarantined(directory)
    assert (old / "weights.bin").exists()
    assert reason == f"runs/{key}: it was computed anew\n"


# ---- One at a time
# --------------------------------------------------------------------------------------------------

HOLD = """
import sys
from pathlib import Path
from neurosparse import store
with store.claim(Path(sys.argv[1]), sys.argv[2]) as claim:
    if claim:
        claim.prepare()
        (claim.folder / "half").write_text("half")
    print("mine" if claim else "taken", flush=True)
    sys.stdin.read()
"""


def holder(directory, key):
    command = [sys.executable, "-c", HOLD, str(directory), key]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, process.stdout.readline().strip()


def test_a_claim_is_of_one_process_and_ends_with_it(directory):
    key = store.key("train", {}, "c0de")
    process, said = holder(directory, key)
    assert said == "mine"
    with store.claim(directory, key) as claim:
        assert claim is None
    process.kill()
    process.communicate()
    assert names(directory) == [f"locks/{key}", f"partial/{key}/run/half"]
    with store.claim(directory, key) as claim:
        assert claim is not None
        other, said = holder(directory, key)
        assert said == "taken"
        other.communicate("")
    assert names(directory) == []


def test_tidy_removes_what_killed_processes_left_of_complete_runs(directory):
    key = put(directory)
    (directory / "partial" / key).mkdir()
    (directory / "partial" / key / "checkpoint.safetensors").write_text("old")
    (directory / "locks" / key).touch()
    other = store.key("train", {"seed": 7}, "c0de")
    (directory / "partial" / other).mkdir()
    (directory / "partial" / other / "checkpoint.safetensors").write_text("epoch 3")
    (directory / "partial" / other / "rest").write_text("rest")
    store.tidy(directory)
    assert [name for name in names(directory) if not name.startswith("runs/")] == [
        f"partial/{other}/checkpoint.safetensors"
    ]


@pytest.mark.parametrize("key", ["", "../../x", "A" * 32, "0" * 31, "0" * 32 + "\n"])
def test_what_is_no_key_is_refused(directory, key):
    with pytest.raises(ValueError, match="32 hexadecimal"), store.claim(directory, key):
        pass


def test_links_out_of_the_folder_are_refused(tmp_path, directory):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("precious")
    key = put(directory)
    (directory / "partial" / key).symlink_to(outside)
    with store.claim(directory, key) as claim:
        claim.prepare()
        (claim.folder / "x").write_text("x")
    assert [p.name for p in outside.iterdir()] == ["precious"]
    (directory / "locks").rename(directory / "old")
    (directory / "locks").symlink_to(outside)
    with pytest.raises(ValueError, match="is a link"):
        store.open_directory(directory)


# ---- Damage
# --------------------------------------------------------------------------------------------------


def flip(path, bit=0):
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


def resigned(path, **changes):
    """A manifest with other content and a checksum that is right."""
    content = json.loads(path.read_text()) | changes
    del content["sha256"]
    sha256 = hashlib.sha256(records._canonical(content)).hexdigest()
    path.write_text(json.dumps({**content, "sha256": sha256}, indent=1))


DAMAGE = {
    "a file flipped": (
        lambda f: flip(f / "weights.bin", 77),
        "weights.bin is not as it was written",
    ),
    "a file cut off": (
        lambda f: os.truncate(f / "weights.bin", 10),
        "weights.bin is not as it was written",
    ),
    "a file emptied": (
        lambda f: os.truncate(f / "deep" / "more.txt", 0),
        "deep/more.txt is not as it was written",
    ),
    "a file gone": (lambda f: (f / "weights.bin").unlink(), "weights.bin is missing"),
    "a file more": (lambda f: (f / "new").touch(), "new is not of it"),
    "a file a link": (
        lambda f: ((f / "weights.bin").unlink(), (f / "weights.bin").symlink_to("/etc/passwd")),
        "weights.bin is not a plain file",
    ),
    "a file a pipe": (
        lambda f: ((f / "weights.bin").unlink(), os.mkfifo(f / "weights.bin")),
        "weights.bin is not a plain file",
    ),
    "a folder a link": (lambda f: (f / "more").symlink_to("/etc"), "more is a link"),
    "manifest emptied": (
        lambda f: os.truncate(f / "manifest.json", 0),
        "manifest.json is empty, cut off",
    ),
    "manifest cut off": (
        lambda f: os.truncate(f / "manifest.json", 300),
        "manifest.json is empty, cut off",
    ),
    "manifest gone": (
        lambda f: (f / "manifest.json").unlink(),
        "manifest.json cannot be read: No such file",
    ),
    "manifest a link": (
        lambda f: ((f / "manifest.json").rename(f / "m"), (f / "manifest.json").symlink_to("m")),
        "manifest.json cannot be read",
    ),
    "manifest a list": (lambda f: (f / "manifest.json").write_text("[]"), "not a record"),
    "manifest deep": (lambda f: (f / "manifest.json").write_text("[" * 100_000), "not a record"),
    "manifest with NaN": (
        lambda f: (f / "manifest.json").write_text('{"a": NaN, "sha256": ""}'),
        "not a record",
    ),
    "manifest large": (
        lambda f: (f / "manifest.json").write_text(" " * 17_000_000),
        "larger than 16,000,000 bytes",
    ),
    "manifest edited": (
        lambda f: (f / "manifest.json").write_text(
            (f / "manifest.json").read_text().replace("0.1", "0.05")
        ),
        "manifest.json is not as it was written",
    ),
    "manifest of another format": (
        lambda f: resigned(f / "manifest.json", format="x/9"),
        "is not that of a run",
    ),
    "manifest of another key": (
        lambda f: resigned(f / "manifest.json", key="0" * 32),
        "a copy of the run 000",
    ),
    "manifest with a path out of it": (
        lambda f: resigned(f / "manifest.json", files={"../../x": {"bytes": 0, "sha256": ""}}),
        "../../x is missing",
    ),
    "manifest with rows of lists": (
        lambda f: resigned(f / "manifest.json", rows=[{"a": [1]}]),
        "is not that of a run",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_named_put_away_and_never_counted(directory, case):
    whole, key = put(directory, seed=2), put(directory)
    damage, reason = DAMAGE[case]
    damage(directory / "runs" / key)
    with pytest.raises(DamageError, match=reason):
        store.read(directory, key)
    assert list(store.verify(directory)) == [key]
    assert [name for name, _ in store.runs(directory)] == [whole]
    (kept,), (said,) = quarantined(directory)
    assert kept.name.startswith(key)
    assert said.startswith(f"runs/{key}: ")
    assert reason in said
    assert store.verify(directory) == {}


def test_every_flipped_bit_of_a_manifest_is_found(directory):
    key = put(directory)
    manifest = directory / "runs" / key / "manifest.json"
    with manifest.open("r+b", buffering=0) as file:
        content = file.read()
        for bit in range(8 * len(content)):
            byte = bit // 8
            os.pwrite(file.fileno(), bytes([content[byte] ^ 1 << bit % 8]), byte)
            with pytest.raises(DamageError):
                store.read(directory, key, thorough=False)
            os.pwrite(file.fileno(), content[byte : byte + 1], byte)
    assert store.read(directory, key) is not None


@given(
    st.binary(max_size=200)
    | st.text(alphabet='{}[]":,0123e-x ntrufalse', max_size=200).map(str.encode)
)
def test_any_bytes_for_a_record_are_damage_and_nothing_else(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(DamageError):
        records.read_record(store.Run, path)


@pytest.mark.parametrize("name", ["notes.txt", "0" * 31, ".hidden", "Ä"])
def test_what_is_no_run_is_foreign(directory, name):
    put(directory)
    (directory / "runs" / name).mkdir()
    assert store.verify(directory) == {name: "its name is not that of a run"}
    assert len(list(store.runs(directory))) == 1


def test_a_run_that_is_a_file_or_a_link_is_damage(directory, tmp_path):
    key = put(directory)
    place = directory / "runs" / key
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    assert store.verify(directory) == {key: "it is not a folder"}
    assert (tmp_path / "elsewhere" / "weights.bin").exists()


def test_a_damaged_note_of_a_failure_is_as_good_as_none(directory):
    key = store.key("train", {}, "c0de")
    with store.claim(directory, key) as claim:
        claim.prepare()
        claim.fail(kind="train", label=LABEL, error="ValueError: diverged")
    os.truncate(directory / "failed" / f"{key}.json", 20)
    assert store.failures(directory) == {}


def test_times_of_files_do_not_matter(directory):
    key = put(directory)
    for path in (directory / "runs").rglob("*"):
        os.utime(path, (0, 0) if path.is_dir() else (4e9, 4e9))
    assert store.read(directory, key) is not None


# ---- Looking and exporting
# --------------------------------------------------------------------------------------------------


def test_a_run_is_found_by_the_start_of_its_key(directory):
    keys = [put(directory, seed=seed) for seed in range(20)]
    assert store.find(directory, keys[3][:20]) == keys[3]
    with pytest.raises(ValueError, match="holds 20 runs whose key starts with ''"):
        store.find(directory, "")
    with pytest.raises(ValueError, match="holds no runs whose key starts with 'x'"):
        store.find(directory, "x")
    with pytest.raises(FileNotFoundError, match="not the folder of a sweep"):
        store.existing(directory / "runs" / keys[0])


def test_tables_hold_every_column_and_fill_what_a_row_lacks(directory, tmp_path):
    rows = [{"a": 1, "b": "x"}, {"a": 0.5, "c": True}, {"b": 3}]
    store.write_table(directory, rows, "table")
    assert pq.read_table(directory / "table.parquet").to_pydict() == {
        "a": [1.0, 0.5, None],
        "b": ["x", None, "3"],
        "c": [None, True, None],
    }
    assert pyarrow.csv.read_csv(directory / "table.csv").column_names == ["a", "b", "c"]
    with pytest.raises(ValueError, match=r"\.parquet or \.csv, got .*x\.xls"):
        store.export(rows, Path("x.xls"))
    assert names(directory) == ["table.csv", "table.parquet"]
