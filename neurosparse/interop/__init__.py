"""Spikes of other people's objects, and back.

Brian2, NEST, Neo, pynapple, SpikeInterface, pandas, polars, arrays with units, dicts and lists.
"""

from neurosparse.interop.reading import Options, as_spikes, can_read

__all__ = ["Options", "as_spikes", "can_read"]
