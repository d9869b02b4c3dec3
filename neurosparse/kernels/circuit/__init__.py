"""The hot loops of circuits: synapses drawn and kept, spikes delivered, cells advanced."""

from neurosparse._internal.imports import need

need("numba", "the engine 'kernel'")
