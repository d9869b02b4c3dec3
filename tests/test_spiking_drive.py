"""Random input: the tables against the distribution itself, the functions in Brian2 against its
moments.
"""

import subprocess
from bisect import bisect_right
from itertools import pairwise

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from neurosparse.spiking.brian import builds
from neurosparse.spiking.brian import running as engine
from neurosparse.spiking.brian.drive import (
    _POISSON,
    MOST_MEAN,
    poisson_tables,
    table_poisson,
    white_noise,
)

MEANS = [0.0, 1e-6, 5e-6, 1e-4, 0.3, 2.0, 17.0, 60.0, 100.0, MOST_MEAN]


def test_the_steps_hold_the_distribution():
    _, steps = poisson_tables(MEANS)
    k = np.arange(256)
    for mean, step in zip(MEANS, steps, strict=True):
        edges = [0, *map(int, step)]
        held = np.array([(b - a) / 2.0**64 for a, b in pairwise(edges)])
        expected = stats.poisson.pmf(k, mean)
        assert np.abs(held - expected).sum() < 1e-12
        assert_allclose((held * k).sum(), mean, rtol=1e-9)
        likely = expected > 1e-12
        assert_allclose(held[likely], expected[likely], rtol=1e-6, atol=1e-16)


def test_the_cells_say_what_the_steps_say():
    table, steps = poisson_tables(MEANS)
    for row, step in zip(table, steps, strict=True):
        edges = [int(s) for s in step]
        for cell in [*range(0, 65536, 97), 0, 1, 65534, 65535, *np.flatnonzero(row < 0)[:300]]:
            low, high = int(cell) << 48, (int(cell) + 1 << 48) - 1
            counts = {bisect_right(edges, low), min(bisect_right(edges, high), 255)}
            if row[cell] >= 0:
                assert counts == {row[cell]}
            else:  # the search begins where it cannot have gone past
                assert ~row[cell] == min(min(counts), 127)
                assert len(counts) == 2 or max(counts) > 127


@pytest.mark.skipif(
    builds.compiler() is None, reason="the C++ code needs a compiler: install g++ and make"
)
def test_the_code_finds_the_count_of_every_draw_also_of_the_largest(tmp_path):
    table, steps = poisson_tables(MEANS)
    draws = np.array(
        [0, 1, 2**48 - 1, 2**48, 2**63, 3 << 62, 2**64 - 2**48, 2**64 - 2, 2**64 - 1],
        dtype=np.uint64,
    )
    table.tofile(tmp_path / "table")
    steps.tofile(tmp_path / "steps")
    (tmp_path / "main.cpp").write_text(f"""
        #include <cstdint>
        #include <cstdio>
        #include <initializer_list>
        static int8_t _namespacepoisson_table[{table.size}];
        static uint64_t _namespacepoisson_steps[{steps.size}];
        static uint64_t draw_now;
        static inline uint64_t _poisson_random(int) {{ return draw_now; }}
        {_POISSON}
        int main() {{
            fread(_namespacepoisson_table, 1, {table.size}, fopen("table", "rb"));
            fread(_namespacepoisson_steps, 8, {steps.size}, fopen("steps", "rb"));
            for (int k = 0; k < {len(MEANS)}; k++)
                for (uint64_t draw : {{{", ".join(f"{d}ULL" for d in draws)}}}) {{
                    draw_now = draw;
                    printf("%g ", table_poisson(k, 0));
                }}
        }}
        """)
    command = [*builds.compiler().split(), "-w", "-fsanitize=address", "main.cpp", "-o", "main"]
    subprocess.run(command, cwd=tmp_path, check=True)
    said = subprocess.run(
        [tmp_path / "main"], cwd=tmp_path, check=True, capture_output=True, text=True
    ).stdout
    # the largest draw has the largest count that the table tells apart
    last = (steps == np.uint64(2**64 - 1)).argmax(axis=1)
    expected = [
        np.minimum(np.searchsorted(row, draws, side="right"), m)
        for row, m in zip(steps, last, strict=True)
    ]
    np.testing.assert_array_equal(np.array(said.split(), dtype=int), np.concatenate(expected))


@pytest.mark.parametrize("means", [[-0.1], [MOST_MEAN * 1.01], [np.nan], []])
def test_means_that_no_table_holds_are_refused(means):
    with pytest.raises(ValueError, match="mean number of external spikes in a step must lie in"):
        poisson_tables(means)


@pytest.fixture(scope="module", params=["cpp", "numpy"])
def draws(request):
    """Counts and noise of 60 cells over 3,000 steps, shape (steps, cells); 20 cells to each
    mean.
    """
    means = [0.02, 0.7, 9.0]

    def model():
        b2 = engine.brian2()
        namespace = {"table_poisson": table_poisson(means), "white_noise": white_noise()}
        cells = b2.NeuronGroup(
            60, "count : 1\nnoise : 1\nkind : integer (constant)", namespace=namespace, name="draws"
        )
        cells.kind = np.repeat([0, 1, 2], 20)
        cells.run_regularly(
            "count = table_poisson(kind)\nnoise = white_noise()", when="start", name="draw"
        )
        return cells, b2.StateMonitor(
            cells, ["count", "noise"], record=True, when="end", name="seen"
        )

    seen = engine.run(model, duration_ms=300.0, seed=3, target=request.param)["seen"]
    return means, seen["count"], seen["noise"]


def test_counts_are_poisson_and_independent(draws):
    means, counts, _ = draws
    for k, mean in enumerate(means):
        x = counts[:, 20 * k : 20 * k + 20]
        n = x.size
        assert_allclose(x.mean(), mean, atol=4 * np.sqrt(mean / n))
        assert_allclose(x.var(), mean, atol=4 * np.sqrt((2 * mean**2 + mean) / n))
        values = np.arange(int(x.max()) + 1)
        assert_allclose(
            [(x == v).mean() for v in values],
            stats.poisson.pmf(values, mean),
            atol=4 * 0.5 / np.sqrt(n),
        )
    standard = (counts - counts.mean(axis=0)) / counts.std(axis=0).clip(1e-9)
    # from step to step
    assert np.abs(np.mean(standard[1:] * standard[:-1])) < 4 / np.sqrt(standard.size)
    # from cell to cell
    assert np.abs(np.mean(standard[:, 1:] * standard[:, :-1])) < 4 / np.sqrt(standard.size)


def test_noise_has_mean_0_and_variance_1_and_no_memory(draws):
    _, counts, noise = draws
    n = noise.size
    assert_allclose(noise.mean(), 0.0, atol=4 / np.sqrt(n))
    assert_allclose(noise.var(), 1.0, atol=4 * np.sqrt(2 / n))
    for product in (
        noise[1:] * noise[:-1],
        noise[:, 1:] * noise[:, :-1],
        noise * (counts - counts.mean(axis=0)),
    ):
        assert np.abs(product.mean()) < 4 * product.std() / np.sqrt(n)
    summed = noise.reshape(-1, 100, 60).sum(axis=1).ravel() / 10  # what a membrane makes of it
    assert stats.kstest(summed, "norm").pvalue > 1e-3
