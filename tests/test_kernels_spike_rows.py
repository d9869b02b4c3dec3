"""The kernel of a layer of spiking neurons, against closed forms and a loop over dense arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosparse.convert import blocks
from neurosparse.convert.wiring import Connection
from neurosparse.kernels.intrinsics import as_type
from neurosparse.kernels.network import spike_pools, spike_rows
from neurosparse.kernels.network.spike_rows import Cell, Wiring


def cell(**changes) -> Cell:
    one, zero = np.float32(1), np.float32(0)
    return Cell(one, zero, one, one, -one, 0, np.float32(0.5))._replace(**changes)


def run(weight, current, spikes_in, n_steps, of=None):
    """Spikes, (steps, images, neurons), of neurons under constant currents (images, neurons) and
    dense input spikes.
    """
    n_images, n = current.shape
    width = spike_rows.width_for(n)
    weights = spike_rows.laid_out(weight.T, width)
    rows = np.zeros((n_images, 1, 1, len(weights) * width), np.float32)
    rows[:, 0, 0, :n] = current
    # all inputs are one pixel: one stretch
    wires = Wiring(*map(np.array, ([0, 1], [0], [0], [1], [0])))
    inputs = spike_rows.joined([(spike_rows.listed(spikes_in.swapaxes(0, 1)[:, :, None]), 1)])
    arguments = inputs, wires, n_images, n_steps
    spikes = spike_rows.run_layer(weights, rows, of or cell(), *arguments, n, as_type(width))
    dense = np.zeros((n_steps, n_images, n), bool)
    first = spikes.first.reshape(-1)
    for k in range(n_images * n_steps):
        units = spikes.units[first[k] : first[k + 1]]
        assert (np.diff(units) > 0).all()
        dense[k % n_steps, k // n_steps, units] = True
    counted = np.zeros((n_images * n_steps, n), np.float32)
    spike_rows.dense(spikes, 1, counted)
    np.testing.assert_array_equal(counted.reshape(n_images, n_steps, n).swapaxes(0, 1), dense)
    counts = np.zeros((n_images, n), np.float32)
    spike_rows.count(spikes, n_steps, n_steps, counts)
    np.testing.assert_array_equal(counts, dense.sum(0))
    sums = spike_rows.run_sums(weights, rows, *arguments, as_type(width))
    expected = current[:, None] + spikes_in.swapaxes(0, 1) @ weight.T
    np.testing.assert_allclose(sums[:, :, 0, :n], expected, rtol=1e-5, atol=1e-5)
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


def loops(spikes, weight, stride, padding, dilation):
    """A convolution (images, rows, columns, channels) by its definition."""
    n_images, rows, columns, _ = spikes.shape
    n_out, _, n_rows, n_columns = weight.shape
    size = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, p, d, k, s in zip(
            (rows, columns), padding, dilation, (n_rows, n_columns), stride, strict=True
        )
    ]
    out = np.zeros((n_images, *size, n_out))
    for y, x, ky, kx in np.ndindex(*size, n_rows, n_columns):
        at_y = y * stride[0] - padding[0] + ky * dilation[0]
        at_x = x * stride[1] - padding[1] + kx * dilation[1]
        if 0 <= at_y < rows and 0 <= at_x < columns:
            out[:, y, x] += spikes[:, at_y, at_x] @ weight[:, :, ky, kx].T
    return out


@given(
    st.tuples(st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(1, 3), st.integers(1, 3)),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.tuples(st.integers(1, 2), st.integers(1, 2)),
    st.sampled_from([1, 5, 17, 70]),
    st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_stretches_are_a_convolution(size, kernel, stride, padding, dilation, n_out, seed):
    if any(
        n + 2 * p < d * (k - 1) + 1
        for n, p, d, k in zip(size, padding, dilation, kernel, strict=True)
    ):
        return  # the kernel is larger than the image
    rng = np.random.default_rng(seed)
    weight = rng.integers(-32, 33, (n_out, 3, *kernel)).astype(np.float32) / 64
    shown = rng.random((2, *size, 3)) < 0.4
    expected = loops(shown, weight, stride, padding, dilation)
    connection = Connection("x", torch.from_numpy(weight), size, stride, padding, dilation)
    n_pixels = expected[0, ..., 0].size
    found = blocks.stretches(connection, expected.shape[1:3], 0, 0)
    wires = blocks.joined([found], n_pixels)
    width = spike_rows.width_for(n_out)
    by_place = weight.transpose(2, 3, 1, 0).reshape(-1, n_out)
    weights = spike_rows.laid_out(by_place, width)
    current = np.zeros((1, 1, 1, len(weights) * width), np.float32)
    spikes = spike_rows.listed(shown.reshape(2, 1, -1, 3))
    inputs = spike_rows.joined([(spikes, size[0] * size[1])])
    sums = spike_rows.run_sums(weights, current, inputs, wires, 2, 1, as_type(width))
    np.testing.assert_array_equal(sums[:, 0, :, :n_out], expected.reshape(2, n_pixels, n_out))


def test_pools_of_two_pixels_by_hand():
    """Two windows, {0, 1} and {1, 2}, over three steps of one image with two channels."""
    shown = np.zeros((1, 3, 3, 2), bool)
    shown[0, 0, 0, 0] = shown[0, 0, 1, 0] = shown[0, 1, 1, 0] = shown[0, 2, 2, 0] = True
    shown[0, 2, 2, 1] = True
    windows = spike_pools.Windows(np.array([0, 1, 3, 4]), np.array([0, 0, 1, 1]), 2)
    spikes = spike_rows.listed(shown)

    def pooled(maximum):
        found = spike_pools.pool(spikes, windows, 1, 3, 2, maximum)
        out = np.zeros((3, 4), np.int64)
        spike_rows.dense(found, 2, out)
        return out.tolist()

    # units: window 0 with channels 0 and 1, then window 1
    assert pooled(maximum=False) == [[2, 0, 1, 0], [1, 0, 1, 0], [0, 0, 1, 1]]
    # pixel 1 leads with two spikes; the one of pixel 2 in the last step is only its first
    assert pooled(maximum=True) == [[1, 0, 1, 0], [1, 0, 1, 0], [0, 0, 0, 1]]
