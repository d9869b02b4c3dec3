"""The hot loops, in numba.

Each is held equal to a plain version or another engine.
"""
