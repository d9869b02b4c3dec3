"""NWB files at an address: only what is read of them is fetched, within bounds."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import h5py
import numpy as np
import pytest

from neurosparse import SpikeTrains, recordings
from neurosparse.cli import app
from neurosparse.recordings import remote, save_spikes

BIG = 40_000_000  # bytes of a session that no one reads


class Archive(BaseHTTPRequestHandler):
    """Files with range requests, and the listings of an archive."""

    def __init__(self, folder: Path, sent: list[int], *args: object) -> None:
        self.folder, self.sent = folder, sent
        super().__init__(*args)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.endswith("/dandisets/000020/"):
            return self._json({"most_recent_published_version": {"version": "0.1"}})
        if path.endswith("/versions/0.1/assets/"):
            names = sorted(p.name for p in self.folder.glob("*.nwb"))
            assets = [{"path": n, "asset_id": n, "size": 1} for n in names]
            half = 0 if "page=2" in self.path else 1
            here = assets[:1] if half else assets[1:]
            port = self.server.server_address[1]
            following = f"http://127.0.0.1:{port}{path}?page=2" if half else None
            return self._json({"results": here, "next": following})
        name = path.split("/")[-3] if path.endswith("/download/") else path.strip("/")
        file = self.folder / name
        if not file.is_file():
            return self.send_error(404)
        whole, ranged = file.read_bytes(), self.headers.get("Range")
        if ranged is None or name == "no_ranges.nwb":
            self.send_response(200)
            self.end_headers()
            return None
        start, stop = map(int, ranged.removeprefix("bytes=").split("-"))
        part = whole[start : stop + 1]
        self.sent.append(len(part))
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{stop}/{len(whole)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        return None

    def _json(self, content: object) -> None:
        text = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[str, Path, list[int]]]:
    sent: list[int] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Archive, tmp_path, sent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}", tmp_path, sent
    server.shutdown()
    server.server_close()


def a_session(path: Path, *, big: bool = False, seed: int = 0) -> SpikeTrains:
    rng = np.random.default_rng(seed)
    n = rng.poisson(30, 40)
    spikes = SpikeTrains(
        np.round(rng.uniform(0, 9999, n.sum())),
        np.repeat(np.arange(40), n),
        n_units=40,
        duration_ms=10_000.0,
        dt_ms=1.0,
    )
    save_spikes(spikes, path)
    if big:
        with h5py.File(path, "a") as file:
            file.create_dataset("acquisition/raw", data=rng.integers(0, 99, BIG, dtype=np.int8))
    return spikes


def test_units_are_those_of_the_file_and_the_rest_is_not_fetched(archive) -> None:
    address, folder, sent = archive
    a_session(folder / "session.nwb", big=True)
    found = remote.read(f"{address}/session.nwb")
    assert found.spikes == recordings.read(folder / "session.nwb").spikes
    assert 0 < sum(sent) < BIG / 10


def test_a_range_is_the_bytes_of_the_file(archive) -> None:
    address, folder, sent = archive
    whole = np.random.default_rng(0).bytes(1_000_003)
    (folder / "bytes.bin").write_bytes(whole)
    file = io.BufferedReader(
        remote.Ranges(f"{address}/bytes.bin", most_bytes=2_000_000, most_s=20), 64
    )
    for start, n in ((0, 10), (262_100, 100), (999_990, 50), (5, 900_000), (0, 10)):
        file.seek(start)
        assert file.read(n) == whole[start : start + n]
    assert file.seek(-3, io.SEEK_END) == 1_000_000
    assert file.read() == whole[-3:]
    assert sum(sent) - 1 <= len(whole)  # no block twice; a byte for the length


def test_too_much_is_refused_in_one_sentence(archive) -> None:
    address, folder, _ = archive
    a_session(folder / "session.nwb")
    with pytest.raises(ValueError, match=r"session.nwb: its units take more than 0.001 MB$"):
        remote.read(f"{address}/session.nwb", most_mb=0.001)
    (folder / "text.nwb").write_text("no HDF5" * 9)
    with pytest.raises(ValueError, match="cannot read spikes from"):
        remote.read(f"{address}/text.nwb")


def test_no_network_no_ranges_and_no_file_are_one_sentence_each(archive) -> None:
    address, folder, _ = archive
    with pytest.raises(OSError, match=r"^127.0.0.1:9 cannot be reached .*: atlas needs a network$"):
        remote.read("http://127.0.0.1:9/session.nwb")
    with pytest.raises(OSError, match="answers 404"):
        remote.read(f"{address}/none.nwb")
    (folder / "no_ranges.nwb").write_bytes(b"x")
    with pytest.raises(OSError, match="gives no parts of a file"):
        remote.read(f"{address}/no_ranges.nwb")
    with pytest.raises(ValueError, match="begins with http"):
        remote.read("file:///etc/passwd")


def test_a_dandiset_is_listed_page_by_page(archive) -> None:
    address, folder, _ = archive
    for k in range(3):
        a_session(folder / f"{k}.nwb", seed=k)
    found = list(remote.sessions("000020", api=address))
    assert [session.path for session in found] == ["0.nwb", "1.nwb", "2.nwb"]
    assert remote.read(found[2].url).spikes == recordings.read(folder / "2.nwb").spikes
    with pytest.raises(ValueError, match="a number of six digits"):
        list(remote.sessions("20", api=address))


def test_the_command_measures_what_it_can_and_names_the_rest(archive, monkeypatch) -> None:
    from typer.testing import CliRunner

    address, folder, _ = archive
    a_session(folder / "0.nwb")
    (folder / "1.nwb").write_text("no HDF5" * 9)
    listed = remote.sessions
    monkeypatch.setattr(remote, "sessions", lambda what: listed(what, api=address))
    done = CliRunner().invoke(app, ["atlas", "000020", "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [s["name"] for s in found["stats"]] == ["0.nwb"]
    assert len(found["refused"]) == 1
    assert found["refused"][0].startswith("cannot read spikes from 1.nwb: ")
    later = np.arange(5000, 10_000, 10)
    save_spikes(SpikeTrains(later, later * 0, n_units=1, duration_ms=1e4), folder / "0.nwb")
    said = " ".join(CliRunner().invoke(app, ["atlas", "000020"]).stdout.split())
    assert "Note on 0.nwb: No unit fired in the first 5 s of the 10 s observed" in said
