"""Engines of circuits: one module each, all of which run the same `Circuit`."""
