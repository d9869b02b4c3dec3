"""The hot loops of circuits: synapses drawn and kept, spikes delivered, cells advanced."""
