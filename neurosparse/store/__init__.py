"""Runs that survive, each in a folder of its own that is there whole or not at all.

    DIRECTORY/runs/KEY/           a complete run: its files, and manifest.json with the checksum of
                                  each and of itself
    DIRECTORY/partial/KEY/        a run under way, or what a killed one left: its checkpoint
    DIRECTORY/failed/KEY.json     why a run failed
    DIRECTORY/quarantine/         damaged and foreign runs, each with the reason: never counted,
                                  never deleted
    DIRECTORY/locks/KEY           who works on KEY holds a lock on this file; it dies with the
                                  process

KEY is a hash of what was asked for and of the code that computes it (`key`, `sweep.code`), so a run
is never mistaken for another. A run is written in `partial`, synced to the disk, and then renamed
into `runs`. Times of files are never looked at.
"""

from neurosparse.store.keeping import tidy, verify
from neurosparse.store.locks import RunLock, claim, open_directory
from neurosparse.store.reading import existing, failures, find, read, runs
from neurosparse.store.records import DamageError, Failure, Row, Run, key
from neurosparse.store.tables import export, write_table

Claim = RunLock  # its name in version 0.1

__all__ = [
    "DamageError",
    "Failure",
    "Row",
    "Run",
    "RunLock",
    "claim",
    "existing",
    "export",
    "failures",
    "find",
    "key",
    "open_directory",
    "read",
    "runs",
    "tidy",
    "verify",
    "write_table",
]
