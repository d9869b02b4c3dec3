"""Units of NWB files elsewhere, of which only the parts that are read are fetched.

A session of the DANDI archive has gigabytes, its table of units some megabytes. The file is opened
through HTTP range requests, with a bound on bytes and time, in the process that reads files of
anyone's.
"""

from __future__ import annotations

import io
import json
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from neurosparse._internal import limited_process
from neurosparse._internal.imports import need
from neurosparse._internal.types import Array
from neurosparse.recordings import nwb
from neurosparse.recordings.recording import Recording
from neurosparse.recordings.selection import Wanted, select

DANDI = "https://api.dandiarchive.org/api"
MOST_MB, MOST_S = 50.0, 60.0
_BLOCK = 2**18  # bytes of a request, at least
_TIMEOUT_S = 20.0
_MEGA = 1_000_000


@dataclass(frozen=True, slots=True)
class Session:
    """A file of a dandiset: its path there, where it is fetched, and its size."""

    path: str
    url: str
    size: int


def sessions(dandiset: str, *, version: str | None = None, api: str = DANDI) -> Iterator[Session]:
    """List the NWB files of a dandiset, such as "000020", by their paths.

    Parameters
    ----------
    dandiset
        Its number of six digits.
    version
        By default the one that was published last, or the draft.
    api
        The archive's address.

    Raises
    ------
    ValueError
        Where it is no number of six digits, or there is none.
    OSError
        Where the archive does not answer; one sentence.
    """
    if not (len(dandiset) == 6 and dandiset.isdigit()):
        raise ValueError(f"a dandiset has a number of six digits, such as 000020, got {dandiset!r}")
    if version is None:
        published = _json(f"{api}/dandisets/{dandiset}/").get("most_recent_published_version")
        version = published["version"] if published else "draft"
    query = "?glob=*.nwb&order=path&page_size=100"
    page: str | None = f"{api}/dandisets/{dandiset}/versions/{quote(version)}/assets/{query}"
    while page:
        found = _json(page)
        for asset in found["results"]:
            url = f"{api}/assets/{quote(asset['asset_id'])}/download/"
            yield Session(asset["path"], url, int(asset["size"]))
        page = found.get("next")


def read(
    url: str,
    *,
    where: tuple[str, ...] = (),
    name: str = "",
    most_mb: float = MOST_MB,
    most_s: float = MOST_S,
) -> Recording:
    """Read the units of an NWB file at an address, as `recordings.read` does those of a file.

    Parameters
    ----------
    url
        Of http or https.
    where
        Conditions on columns of units, such as "quality=good".
    name
        How the file is called in messages; by default the address.
    most_mb, most_s
        What may be fetched, and for how long.

    Raises
    ------
    ValueError
        Where it is no NWB file, has no units, or would take more; one sentence.
    OSError
        Where the address does not answer; one sentence.
    """
    need("h5py", "reading NWB")
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"an address begins with http:// or https://, got {url!r}")
    Ranges(url, most_bytes=_BLOCK, most_s=most_s)  # unreachable: said here, not in the process
    limits = {"most_bytes": round(most_mb * _MEGA), "most_s": most_s}
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "address"
            place.write_text(url, encoding="utf-8")
            arrays = limited_process.read(
                place, opened, options=limits, library="HDF5's library", imports=("h5py", __name__)
            )
        table = replace(nwb.of_arrays(arrays), path=Path(name or urlsplit(url).path))
        return select(table, Wanted(where))
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot read spikes from {name or url}: {error}") from None


def opened(path: Path, *, most_bytes: int, most_s: float) -> Mapping[str, Array]:
    """Open the NWB file whose address stands in a file, and return what it says of its units."""
    import h5py

    address = path.read_text(encoding="utf-8")
    with h5py.File(Ranges(address, most_bytes=most_bytes, most_s=most_s), "r") as file:
        return nwb.contents(file)


class Ranges(io.RawIOBase):
    """A file at an address, of which the blocks that are read are fetched, once each.

    Parameters
    ----------
    url
        The address.
    most_bytes, most_s
        What may be fetched, and for how long.

    Raises
    ------
    OSError
        Where the address does not answer, or knows no range requests; one sentence.
    ValueError
        Upon reading, where more would be fetched or it takes longer.
    """

    def __init__(self, url: str, *, most_bytes: int, most_s: float) -> None:
        self._url, self._most_bytes, self._most_s = url, most_bytes, most_s
        self._begun, self._fetched, self._at = time.monotonic(), 0, 0
        self._blocks: dict[int, bytes] = {}
        self.size = self._length()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the place of the next byte that is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a place, counted from the start, here or the end, and return it."""
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as fit into a buffer, and return how many."""
        view = memoryview(buffer).cast("B")
        stop = min(self._at + len(view), self.size)
        if stop <= self._at:
            return 0
        first, last = self._at // _BLOCK, (stop - 1) // _BLOCK
        self._fetch(first, last)
        whole = b"".join(self._blocks[k] for k in range(first, last + 1))
        start = self._at - first * _BLOCK
        view[: stop - self._at] = whole[start : start + stop - self._at]
        done, self._at = stop - self._at, stop
        return done

    def _fetch(self, first: int, last: int) -> None:
        """Fetch the blocks of a range that are not there, those in a row by one request."""
        missing = [k for k in range(first, last + 1) if k not in self._blocks]
        while missing:
            row = [missing.pop(0)]
            while missing and missing[0] == row[-1] + 1:
                row.append(missing.pop(0))
            start, stop = row[0] * _BLOCK, min((row[-1] + 1) * _BLOCK, self.size)
            if self._fetched + stop - start > self._most_bytes:
                raise ValueError(f"its units take more than {self._most_bytes / _MEGA:g} MB")
            if time.monotonic() - self._begun > self._most_s:
                raise ValueError(f"its units take more than {self._most_s:g} s")
            with _answer(self._url, {"Range": f"bytes={start}-{stop - 1}"}) as answer:
                whole = answer.read(stop - start)
            if len(whole) != stop - start:
                raise ValueError(f"its address broke off after {len(whole):,} bytes")
            self._fetched += len(whole)
            for n, k in enumerate(row):
                self._blocks[k] = whole[n * _BLOCK : (n + 1) * _BLOCK]

    def _length(self) -> int:
        with _answer(self._url, {"Range": "bytes=0-0"}) as answer:
            said = answer.headers.get("Content-Range", "")
        if answer.status != 206 or not said.rpartition("/")[2].isdigit():
            raise OSError(f"{self._url} gives no parts of a file: fetch it, and measure it here")
        return int(said.rpartition("/")[2])


def _json(url: str) -> Any:
    with _answer(url, {"Accept": "application/json"}) as answer:
        return json.load(answer)


def _answer(url: str, headers: Mapping[str, str]) -> Any:
    """Return the answer of an address; OSError, one sentence, where there is none."""
    request = urllib.request.Request(url, headers=dict(headers))
    try:
        return urllib.request.urlopen(request, timeout=_TIMEOUT_S)
    except urllib.error.HTTPError as error:
        raise OSError(f"{url} answers {error.code} {error.reason}") from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        host = urlsplit(url).netloc
        reason = getattr(error, "reason", error)
        raise OSError(f"{host} cannot be reached ({reason}): atlas needs a network") from None
