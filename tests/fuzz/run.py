"""Coverage-guided fuzzing (atheris) of what reads our own formats: `make fuzz`, or

    python tests/fuzz/run.py [--seconds 60] [TARGET ...]

An input that a reader does not answer with a result, a ValueError or an OSError ends it with exit
code 1 and is kept in results/fuzz/TARGET, beside the corpus, from which the next run goes on.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from targets import TARGETS

# HDF5 and Parquet, whose code shows no coverage: see test_fuzz.py
IN_C = ("recording", "nir", "units", "sonata", "mat", "cells", "mat 7.3", "parquet")
MOST_MB = 2048
MOST_S = 60  # for one input


def fuzz(name: str, seconds: int, corpus: Path) -> None:
    """Fuzz one reader; does not return."""
    import atheris

    target, folder = TARGETS[name], Path(tempfile.mkdtemp())
    path = folder / target.file
    # numba compiles it, and cannot where it is instrumented
    import_module("neurosparse.kernels.network.sparse_sgd")
    with atheris.instrument_imports(include=["neurosparse", "tomllib"]):
        content = target.valid(folder)
        target.put(path, content)
        target.read(path)  # which imports what it needs
    (corpus / "valid").write_bytes(content)

    def read(data: bytes) -> None:
        target.put(path, data)
        with suppress(ValueError, OSError):
            target.read(path)

    limits = [
        f"-max_total_time={seconds}",
        f"-timeout={MOST_S}",
        f"-rss_limit_mb={MOST_MB}",
        "-max_len=65536",
        "-len_control=0",
    ]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={corpus}/", "-print_final_stats=1", str(corpus)],
        read,
    )
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], default=[])
    parser.add_argument("--seconds", type=int, default=60, help="for each")
    options = parser.parse_args()
    names = options.targets or [name for name in TARGETS if name not in IN_C]
    if len(names) == 1:
        corpus = Path("results/fuzz", names[0])
        corpus.mkdir(parents=True, exist_ok=True)
        fuzz(names[0], options.seconds, corpus)
    for name in names:  # the fuzzer ends its process
        print(f"== {name}", flush=True)
        subprocess.run(
            [sys.executable, __file__, name, "--seconds", str(options.seconds)], check=True
        )


if __name__ == "__main__":
    main()
