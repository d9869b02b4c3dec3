"""Dask's workers: the same table, whatever of Dask is killed."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress

import pytest
from processes import workers_of

from neurosparse import store, sweep


@contextmanager
def cluster(folder, *options, protocol="tcp"):
    """A scheduler and a nanny with one worker, as processes: (address, scheduler, nanny)."""
    folder.mkdir()
    note = folder / "scheduler.json"
    quiet = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
        "env": {**os.environ, "OMP_NUM_THREADS": "1"},
    }
    dask = [sys.executable, "-m"]
    common = ["--scheduler-file", str(note), "--no-dashboard"]
    address = ["--host", "127.0.0.1", "--port", "0", "--protocol", protocol]
    processes = [
        subprocess.Popen([*dask, "distributed.cli.dask_scheduler", *common, *address], **quiet)
    ]
    try:
        wait_for(note.exists)
        place = ["--local-directory", str(folder)]
        command = [
            *dask,
            "distributed.cli.dask_worker",
            *common,
            *place,
            *(options or ("--nthreads", "1")),
        ]
        processes.append(subprocess.Popen(command, **quiet))
        wait_for(lambda: note.read_text().endswith("}"))
        yield json.loads(note.read_text())["address"], *processes
    finally:
        for process in processes:
            orphans = workers_of(process)
            process.kill()  # first, or a nanny would start another worker
            process.wait()
            for orphan in orphans:
                with suppress(ProcessLookupError):
                    os.kill(orphan, signal.SIGKILL)


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


def test_dask_gives_the_same_table(field, tmp_path):
    told = []
    with cluster(tmp_path / "dask") as (address, _, _):
        result = sweep.run(
            field.spec,
            tmp_path / "sweep",
            scheduler=address,
            progress=lambda *new: told.append(new),
        )
        assert result.rows == field.rows
        words = [
            re.fullmatch(r"(\d+) done, (\d+) running, 0 failed(, .+ left)?", text)
            for _, text in told[1:-1]
        ]
        assert all(words)
        assert 1 in (running := {int(match[2]) for match in words})
        # of one worker: the start of a run may be told before the end of the one before it
        assert max(running) <= 2
        assert [int(match[1]) for match in words] == sorted(int(match[1]) for match in words)
        assert any(match[3] for match in words)
    field.check(tmp_path / "sweep")


def test_what_dask_cannot_do_is_said(field, tmp_path, monkeypatch):
    from neurosparse.sweep import dask

    for wrong in (
        "auto",
        "",
        "-1",
        "tcp://host",
        "host:",
        "tcp://[::1:8786",
        "inproc://a:1",
        "a b:1",
    ):
        with pytest.raises(ValueError, match="must be an address such as tcp://host:8786, got"):
            dask.executor(wrong, timeout_s=None)
    for right in ("host:8786", "tls://10.0.0.1:8786", "tcp://[::1]:8786", "ws://a.b:80/"):
        dask.executor(right, timeout_s=None)
    monkeypatch.setattr(dask, "_CONNECT_S", 3.0)
    monkeypatch.setattr(dask, "_WAIT_S", 3.0)
    with pytest.raises(OSError, match=r"no Dask scheduler at tcp://127.0.0.1:9"):
        sweep.run(field.spec, tmp_path / "sweep", scheduler="tcp://127.0.0.1:9")
    monkeypatch.setattr(dask, "_WAIT_S", 60.0)
    with (
        cluster(tmp_path / "dask", "--nthreads", "2") as (address, _, _),
        pytest.raises(
            ValueError, match=r"need one thread each, .* has 2: start them with --nthreads 1"
        ),
    ):
        sweep.run(field.spec, tmp_path / "sweep", scheduler=address)


@contextmanager
def environment(variables):
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield


def certificate(folder, name):
    """A key and a certificate that vouches for itself; how Dask is told of them."""
    key, cert = str(folder / f"{name}.key"), str(folder / f"{name}.pem")
    kind = [
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "1",
    ]
    command = ["openssl", "req", *kind, "-subj", f"/CN={name}", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    files = {
        f"{who}__{what}": path
        for who in ("SCHEDULER", "WORKER", "CLIENT")
        for what, path in (("KEY", key), ("CERT", cert))
    }
    return {
        f"DASK_DISTRIBUTED__COMM__TLS__{what}": path
        for what, path in ({"CA_FILE": cert} | files).items()
    }


@pytest.mark.slow
def test_a_sweep_over_tls_is_of_those_who_have_the_certificate(field, tmp_path):
    ours, strangers = certificate(tmp_path, "ours"), certificate(tmp_path, "strangers")
    with environment(ours):
        made = cluster(tmp_path / "dask", protocol="tls")
        address, _, _ = made.__enter__()

    def end(variables):
        with environment(variables):
            driver = field.start(tmp_path / "sweep", scheduler=address)
        output, errors = driver.communicate(timeout=300)
        return driver.returncode, (output + errors).splitlines()[-1]

    try:
        refused = f"OSError: no Dask scheduler at {address}: "
        code, said = end({})
        assert (code, said.startswith(f"{refused}no certificate is configured: set DASK_DIST")) == (
            1,
            True,
        ), said
        code, said = end(strangers)
        assert (code, said.startswith(f"{refused}TLS certificate does not match")) == (1, True), (
            said
        )
        assert end(ours) == (0, "8 of 8 runs are complete, 0 of them from before.")
    finally:
        made.__exit__(None, None, None)
    field.check(tmp_path / "sweep")


@pytest.mark.slow
def test_a_dask_worker_and_then_the_scheduler_are_killed(field, tmp_path):
    folder, killed = tmp_path / "sweep", Counter()

    def busy():
        return any((folder / "partial").glob("*/run"))

    for k in range(3):
        store.tidy(store.open_directory(folder))
        with cluster(tmp_path / f"dask{k}") as (address, scheduler, nanny):
            driver = field.start(folder, scheduler=address)
            wait_for(busy)
            for worker in workers_of(nanny):
                os.kill(worker, signal.SIGKILL)
                killed["worker"] += 1
            time.sleep(0.5)
            scheduler.kill()
            killed["scheduler"] += 1
            _, errors = driver.communicate(timeout=120)
            assert "is gone; start one and run the sweep again" in errors or driver.returncode == 0
    assert killed["scheduler"] == 3
    assert killed["worker"] >= 3
    assert len(list(store.runs(folder))) <= len(field.rows)
    field.check(folder)
