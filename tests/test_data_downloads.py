"""Downloads, from a server on this machine that cuts off, forgets ranges, changes its mind and says
no.
"""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from neurosparse import data
from neurosparse.data import downloads, idx, places
from neurosparse.data.downloads import RemoteFile, fetch, fetch_all
from neurosparse.data.sets import mnist

CONTENT = np.random.default_rng(0).bytes(300_000)


@dataclass
class Server:
    """What the server does, and what it was asked."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: {"/digits": CONTENT})
    most_bytes: int | None = None  # of each answer, after which the connection is cut
    ranges: bool = True
    length: bool = True
    # status codes of the first answers, before it serves
    answers: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)  # the range of each request

    def file(self, name: str = "digits", content: bytes = CONTENT) -> RemoteFile:
        return RemoteFile(
            name, f"{self.url}/{name}", len(content), hashlib.sha256(content).hexdigest()
        )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            state.asked.append(asked)
            if state.answers:
                self.send_error(state.answers.pop(0))
                return
            whole = state.files[self.path]
            first = (
                int(asked.removeprefix("bytes=").removesuffix("-")) if asked and state.ranges else 0
            )
            if first >= len(whole):
                self.send_error(416)
                return
            self.send_response(206 if first else 200)
            if first:
                self.send_header("Content-Range", f"bytes {first}-{len(whole) - 1}/{len(whole)}")
            if state.length:
                self.send_header("Content-Length", str(len(whole) - first))
            self.end_headers()
            self.wfile.write(whole[first:][: state.most_bytes])

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    monkeypatch.setattr(downloads, "PAUSE_S", 0.0)
    yield state
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def test_a_file_arrives(server: Server, tmp_path: Path) -> None:
    told = []
    path = fetch(
        server.file(), tmp_path / "new", progress=lambda done, text: told.append((done, text))
    )
    assert path.read_bytes() == CONTENT
    assert [file.name for file in path.parent.iterdir()] == ["digits"]
    assert server.asked == [None]
    parts = [done for done, _ in told]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0
    assert len(parts) > 2
    assert all(len(text) <= 40 for _, text in told)


def test_cut_connections_are_resumed_where_they_stopped(server: Server, tmp_path: Path) -> None:
    server.most_bytes = 70_000
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=70000-", "bytes=140000-", "bytes=210000-", "bytes=280000-"]


def test_an_interrupted_download_goes_on_in_the_next_call(server: Server, tmp_path: Path) -> None:
    def interrupt(done: float, text: str) -> None:
        if done > 0.4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(server.file(), tmp_path, progress=interrupt)
    part = tmp_path / ".digits.part"
    have = part.stat().st_size
    assert 100_000 < have < 200_000
    assert CONTENT.startswith(part.read_bytes())
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, f"bytes={have}-"]
    assert not part.exists()


def test_a_server_without_ranges_starts_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".digits.part").write_bytes(CONTENT[:1000])
    server.ranges = False
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-"]


def test_a_part_of_another_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    part = tmp_path / ".digits.part"
    for stale in (bytes(1000), bytes(len(CONTENT)), bytes(len(CONTENT) + 5)):
        part.write_bytes(stale)
        assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
        (tmp_path / "digits").unlink()


def test_a_whole_part_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / ".digits.part").write_bytes(CONTENT)
    remote = replace(Server().file(), url="http://127.0.0.1:9/digits")
    assert fetch(remote, tmp_path).read_bytes() == CONTENT


def test_a_wrong_sum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.files["/digits"] = CONTENT[:-1] + b"?"
    with pytest.raises(
        ValueError, match=r"digits is not the file it should be: its SHA-256 is .*, expected "
    ) as error:
        fetch(server.file(), tmp_path)
    assert hashlib.sha256(CONTENT).hexdigest()[:12] in str(error.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [True, False])
@pytest.mark.parametrize("resumed", [True, False])
def test_a_larger_file_is_refused(
    server: Server, tmp_path: Path, length: bool, resumed: bool
) -> None:
    if resumed:
        (tmp_path / ".digits.part").write_bytes(CONTENT[:1000])
    server.files["/digits"], server.length = CONTENT + b"more", length
    with pytest.raises(ValueError, match=r"the server offers .*, expected 300000 bytes"):
        fetch(server.file(), tmp_path)
    assert not (tmp_path / "digits").exists()


def test_a_smaller_file_is_refused(server: Server, tmp_path: Path) -> None:
    server.files["/digits"] = CONTENT[:-10]
    with pytest.raises(ValueError, match=r"the server offers 299990 bytes, expected 300000 bytes"):
        fetch(server.file(), tmp_path)
    server.length = False  # without a length it looks like a cut, again and again
    with pytest.raises(OSError, match=r"cannot download .*/digits: the server answers 416 .*; "):
        fetch(server.file(), tmp_path)


def test_a_server_that_stumbles_is_asked_again(server: Server, tmp_path: Path) -> None:
    server.answers = [503, 500]
    assert fetch(server.file(), tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 3


def test_a_server_that_stays_down(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".digits.part").write_bytes(CONTENT[:1234])
    server.answers = [503] * 10
    with pytest.raises(
        OSError,
        match=(
            r"the server answers 503 Service Unavailable; 1,234 of 300,000 bytes are kept, try"
            r" again to go on$"
        ),
    ):
        fetch(server.file(), tmp_path)
    assert len(server.asked) == downloads.ATTEMPTS
    assert (tmp_path / ".digits.part").read_bytes() == CONTENT[:1234]


def test_no_such_file_is_said_at_once(server: Server, tmp_path: Path) -> None:
    server.answers = [404]
    with pytest.raises(
        OSError,
        match=r"^cannot download http://127.0.0.1.*/digits: the server answers 404 Not Found$",
    ):
        fetch(server.file(), tmp_path)
    assert len(server.asked) == 1


def test_nobody_there(server: Server, tmp_path: Path) -> None:
    with pytest.raises(
        OSError, match=r"^cannot download http://127.0.0.1:9/digits: .*refused; 0 of 300,000 bytes"
    ):
        fetch(replace(server.file(), url="http://127.0.0.1:9/digits"), tmp_path)


# ---- A whole set
# --------------------------------------------------------------------------------------------------


@pytest.fixture
def small_mnist(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Server:
    """A server with four IDX files, at the names of MNIST's."""
    rng = np.random.default_rng(1)
    arrays = [rng.integers(0, 256, (12, 28, 28)), np.arange(12) % 10] * 2
    remote = []
    for stem, array in zip(idx.STEMS, arrays, strict=True):
        lengths = b"".join(n.to_bytes(4) for n in array.shape)
        content = bytes([0, 0, 8, array.ndim]) + lengths + array.astype(np.uint8).tobytes()
        server.files[f"/{stem}"] = content
        remote.append(server.file(stem, content))
    monkeypatch.setattr(mnist, "FILES", tuple(remote))
    monkeypatch.setattr(places, "system_folders", lambda name: [])
    monkeypatch.setattr(
        places, "own_folder", lambda name, data_dir=None: (data_dir or tmp_path / "own") / name
    )
    return server


@pytest.mark.parametrize("given", [True, False])
def test_a_set_is_downloaded_when_asked_and_once(
    small_mnist: Server, tmp_path: Path, given: bool
) -> None:
    data_dir = tmp_path / "mine" if given else None
    with pytest.raises(FileNotFoundError, match=r"ask for them with download=True"):
        data.load("mnist", data_dir=data_dir)
    assert small_mnist.asked == []
    told = []
    splits = data.load(
        "mnist", data_dir=data_dir, download=True, progress=lambda done, text: told.append(done)
    )
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [10, 2, 12]
    assert (told[-1], told) == (1.0, sorted(told))
    assert len(small_mnist.asked) == 4
    data.load("mnist", data_dir=data_dir, download=True)
    assert len(small_mnist.asked) == 4
    assert len(list(((data_dir or tmp_path / "own") / "mnist").iterdir())) == 4


def test_only_what_is_missing_is_fetched(small_mnist: Server, tmp_path: Path) -> None:
    data.load("mnist", data_dir=tmp_path, download=True)
    (tmp_path / "mnist" / idx.STEMS[2]).unlink()
    fetch_all(mnist.FILES, tmp_path / "mnist")
    assert len(small_mnist.asked) == 5


def test_a_set_without_files_to_download_says_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"leave data_dir out"):
        data.load("mnist5k", data_dir=tmp_path, download=True)


def test_the_published_files_are_whole_records() -> None:
    for name in set(data.names()) - {"mnist5k"}:
        module = __import__(f"neurosparse.data.{name}", fromlist=["FILES"])
        for file in getattr(module, "FILES", ()):
            assert file.url.startswith("http")
            assert file.url.endswith(file.name)
            assert len(file.sha256) == 64
            assert int(file.sha256, 16) > 0
            assert file.n_bytes > 300
