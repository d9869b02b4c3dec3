"""Whatever is killed, and whenever: the sweep is run again, and its table is that of one that
nothing happened to.
"""

import os
import random
import signal
import time

import pytest
from processes import workers_of

from neurosparse import store


def under_way(driver, folder):
    """Wait until a run of the driver is under way; False where it has ended."""
    while driver.poll() is None:
        if (folder / "locks").is_dir() and any((folder / "locks").iterdir()) and workers_of(driver):
            return True
        time.sleep(0.01)
    return False


def kill_often(field, folder, n, draw, *, drivers=1):
    """Run the sweep and kill a worker or a driver at random moments, `n` times; how many of
    each.
    """
    killed = {"worker": 0, "driver": 0}
    running = []
    while sum(killed.values()) < n:
        running += [field.start(folder) for _ in range(drivers - len(running))]
        victim = draw.choice(running)
        if not under_way(victim, folder):
            running.remove(victim)  # it came to its end: what is complete is made to be done again
            victim.communicate()
            for run in draw.sample(sorted((folder / "runs").iterdir()), 6):
                run.rename(folder / "quarantine" / f"{run.name}.{time.monotonic_ns()}")
            continue
        time.sleep(draw.uniform(0, 0.6))
        workers = workers_of(victim)
        if workers and draw.random() < 0.6:
            os.kill(draw.choice(workers), signal.SIGKILL)
            killed["worker"] += 1
        elif victim.poll() is None:
            victim.kill()
            victim.communicate()
            running.remove(victim)
            killed["driver"] += 1
    for driver in running:
        driver.communicate(timeout=300)
    return killed


def test_a_few_kills(field, tmp_path):
    killed = kill_often(field, tmp_path / "sweep", 4, random.Random(1))
    assert sum(killed.values()) == 4
    field.check(tmp_path / "sweep")


@pytest.mark.slow
def test_fifty_kills_of_two_drivers_and_their_workers(field, tmp_path):
    killed = kill_often(field, tmp_path / "sweep", 50, random.Random(2), drivers=2)
    assert min(killed.values()) >= 10
    field.check(tmp_path / "sweep")


def test_two_drivers_share_a_sweep_and_do_each_run_once(field, tmp_path):
    folder = tmp_path / "sweep"
    drivers = [field.start(folder, workers=1), field.start(folder, workers=1)]
    for driver in drivers:
        _, errors = driver.communicate(timeout=300)
        assert driver.returncode == 0, errors
    # a run that is done twice puts the first there
    assert list((folder / "quarantine").iterdir()) == []
    assert len(list(store.runs(folder))) == len(field.rows)
    field.check(folder)
