"""The kernel of a layer of spiking neurons, against closed forms and a loop over dense arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosparse.kernels.network import spike_rows
from neurosparse.kernels.network.spike_rows import WIDTH, Cell


def cell(**changes) -> Cell:
    one, zero = np.float32(1), np.float32(0)
    return Cell(one, zero, one, one, -one, 0, np.float32(0.5))._replace(**changes)


def run(weight, current, spikes_in, n_steps, of=None):
    """Spikes, (steps, images, neurons), of neurons under constant currents (images, neurons) and
    dense input spikes.
    """
    n_images, n = current.shape
    padded = np.zeros((n_images, spike_rows.n_blocks(n) * WIDTH), np.float32)
    padded[:, :n] = current
    listed = spike_rows.listed(spikes_in)
    spikes = spike_rows.run_layer(spike_rows.laid_out(weight), padded, of or cell(), listed, n)
    dense = np.zeros((n_steps, n_images, n), bool)
    for image, first in enumerate(spikes.first):
        for t in range(n_steps):
            units = spikes.units[first[t] : first[t + 1]]
            assert (np.diff(units) > 0).all()
            dense[t, image, units] = True
    np.testing.assert_array_equal(spike_rows.dense(spikes, n), dense)
    counts = np.zeros((n_images, n), np.float32)
    spike_rows.count(spikes, n_steps, counts)
    np.testing.assert_array_equal(counts, dense.sum(0))
    return dense


def nothing(n_steps, n_images):
    return np.zeros((n_steps, n_images, 0), bool), np.zeros((45, 0), np.float32)


def test_a_constant_current_gives_as_many_spikes_as_it_fills_thresholds():
    current = np.arange(45, dtype=np.float32)[None].repeat(3, 0) / 64 - 0.25  # exact in float32
    silent, weight = nothing(50, 3)
    spikes = run(weight, current, silent, 50)
    for t in range(50):
        expected = np.maximum(np.floor(0.5 + (t + 1) * current), 0)
        np.testing.assert_array_equal(spikes[: t + 1].sum(0), expected)


@pytest.mark.parametrize("t_ref_steps", [1, 3])
def test_a_strong_current_gives_a_spike_each_refractory_period_and_a_step(t_ref_steps):
    current = np.full((1, 45), 8.0, np.float32)
    silent, weight = nothing(20, 1)
    spikes = run(weight, current, silent, 20, cell(t_ref_steps=t_ref_steps))
    np.testing.assert_array_equal(
        np.flatnonzero(spikes[:, 0, 44]), np.arange(0, 20, 1 + t_ref_steps)
    )


def test_a_leaky_neuron_reset_to_a_value_spikes_after_the_time_of_its_closed_form():
    decay, current = np.exp(-1 / 10), np.linspace(1.1, 4.0, 45)
    leaky = cell(
        leak=np.float32(1),
        decay=np.float32(decay),
        keep=np.float32(0),
        jump=np.float32(0),
        v_initial=np.float32(0),
    )
    silent, weight = nothing(200, 1)
    spikes = run(weight, current[None].astype(np.float32), silent, 200, leaky)
    period = np.ceil(10 * np.log(current / (current - 1)))  # v = I (1 - exp(-t / tau)) reaches 1
    np.testing.assert_array_equal(spikes.sum((0, 1)), 200 // period)


@given(
    st.integers(1, 70),
    st.integers(1, 70),
    st.integers(1, 5),
    st.integers(1, 20),
    st.floats(0, 1),
    st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_spikes_are_those_of_a_dense_loop(n_in, n_out, n_images, n_steps, density, seed):
    rng = np.random.default_rng(seed)
    # sums are exact in any order
    weight = rng.integers(-32, 33, (n_out, n_in)).astype(np.float32) / 64
    current = rng.integers(-8, 33, (n_images, n_out)).astype(np.float32) / 64
    spikes_in = rng.random((n_steps, n_images, n_in)) < density
    v = np.full((n_images, n_out), 0.5, np.float32)
    expected = []
    for shown in spikes_in:
        v = v + current + shown @ weight.T
        expected.append(v >= 1)
        v = v - expected[-1]
    np.testing.assert_array_equal(run(weight, current, spikes_in, n_steps), expected)


def test_every_neuron_may_spike_in_every_step():
    silent, weight = nothing(7, 2)
    assert run(weight, np.full((2, 45), 1.0, np.float32), silent, 7).all()


def test_not_a_number_stays_one_and_never_spikes():
    current = np.full((1, 45), np.nan, np.float32)
    silent, weight = nothing(5, 1)
    assert not run(weight, current, silent, 5).any()
