"""The hot loops, in numba.

Each stands beside, and is held equal to, a plain version or another engine.
"""
