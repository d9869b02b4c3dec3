"""Downloads that can be cut off anywhere and go on from there.

What has arrived stays, the rest is asked for, and the SHA-256 decides.

Nothing is downloaded unless `neurosparse.data.load(..., download=True)` asks for it.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from neurosparse.progress import Progress, quiet

TIMEOUT_S = 30.0
ATTEMPTS = 5  # in a row without a byte of progress
PAUSE_S = 1.0  # before the second attempt; twice as long before each further one
_CHUNK_BYTES = 2**16


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file that can be downloaded, and what it must then be."""

    name: str
    url: str
    n_bytes: int
    sha256: str


def fetch_all(
    remote: Iterable[RemoteFile], folder: Path, *, progress: Progress = quiet
) -> list[Path]:
    """Download the files that `folder` does not hold yet; see `fetch`."""
    remote = list(remote)
    total, before, paths = sum(file.n_bytes for file in remote), 0, []
    for file in remote:

        def part(done: float, text: str, file: RemoteFile = file, before: int = before) -> None:
            progress((before + done * file.n_bytes) / total, text)

        path = folder / file.name
        paths.append(path if path.is_file() else fetch(file, folder, progress=part))
        before += file.n_bytes
    progress(1.0, f"{total / 1e6:.1f} MB are there")
    return paths


def fetch(remote: RemoteFile, folder: Path, *, progress: Progress = quiet) -> Path:
    """Download a file into `folder`, going on from where an earlier attempt stopped.

    The bytes gather in `.NAME.part`, which is renamed when its size and SHA-256 are right; a part
    that was interrupted is kept.

    Raises
    ------
    OSError
        Where the server cannot be reached or says no, or the folder cannot be written; calling
        again goes on from there.
    ValueError
        Where what arrives is not the file: another size, or another sum.
    """
    folder.mkdir(parents=True, exist_ok=True)
    part, path = folder / f".{remote.name}.part", folder / remote.name
    resumed = part.exists()
    _receive_all(remote, part, progress)
    # the old part may have been of another file: once more
    if (found := _sha256(part)) != remote.sha256 and resumed:
        part.unlink()
        _receive_all(remote, part, progress)
        found = _sha256(part)
    if found != remote.sha256:
        part.unlink()
        raise ValueError(
            f"{remote.url} is not the file it should be: its SHA-256 is {found[:12]}..., expected"
            f" {remote.sha256[:12]}..."
        )
    return part.replace(path)


def _receive_all(remote: RemoteFile, part: Path, progress: Progress) -> None:
    """Receive until all is there.

    Only attempts that get no further than the best before them are counted.
    """
    failures, have = 0, _size(part)
    furthest = have
    while have != remote.n_bytes:
        reason = "the connection was cut"
        try:
            _receive(remote, part, progress)
        except urllib.error.HTTPError as error:
            reason = f"the server answers {error.code} {error.reason}"
            if error.code < 500 and error.code != 416:  # asking again would not change it
                raise OSError(f"cannot download {remote.url}: {reason}") from None
            if error.code == 416:  # there is no such range: what is here is of another file
                part.unlink(missing_ok=True)
        except (
            urllib.error.URLError,
            http.client.HTTPException,
            ConnectionError,
            TimeoutError,
        ) as error:
            reason = str(getattr(error, "reason", error) or type(error).__name__)
        have = _size(part)
        failures = 0 if have > furthest else failures + 1
        furthest = max(furthest, have)
        if have < remote.n_bytes and failures:
            if failures == ATTEMPTS:
                raise OSError(
                    f"cannot download {remote.url}: {reason}; {have:,} of {remote.n_bytes:,} bytes"
                    " are kept, try again to go on"
                )
            time.sleep(PAUSE_S * 2 ** (failures - 1))


def _receive(remote: RemoteFile, part: Path, progress: Progress) -> None:
    """Make one request and append what is missing to `part`.

    Where the server knows no ranges, all of it is received.
    """
    have = _size(part)
    if have > remote.n_bytes:
        part.unlink()
        have = 0
    request = urllib.request.Request(
        remote.url, headers={"User-Agent": "neurosparse", "Accept-Encoding": "identity"}
    )
    if have:
        request.add_header("Range", f"bytes={have}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
        if response.status == 206:
            span = f"bytes {have}-{remote.n_bytes - 1}/{remote.n_bytes}"
            if (given := response.headers.get("Content-Range", "")) != span:
                raise _wrong_size(remote, given)
        else:
            have = 0
            length = response.headers.get("Content-Length")
            if length is not None and length != str(remote.n_bytes):
                raise _wrong_size(remote, f"{length} bytes")
        with part.open("ab" if have else "wb") as file:
            while chunk := response.read(_CHUNK_BYTES):
                have += len(chunk)
                if have > remote.n_bytes:
                    file.truncate(0)
                    raise _wrong_size(remote, f"more than {remote.n_bytes} bytes")
                file.write(chunk)
                progress(have / remote.n_bytes, f"{remote.name[:20]} {have / 1e6:.1f} MB")


def _wrong_size(remote: RemoteFile, given: str) -> ValueError:
    return ValueError(
        f"{remote.url} is not the file it should be: the server offers {given}, expected"
        f" {remote.n_bytes} bytes"
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
