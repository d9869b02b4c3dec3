"""The leaky integrate-and-fire (LIF) cell as a rate, and back.

One formula each, for NumPy arrays and for torch tensors.

rates.py    the f-I curve, its inverse, and a rounded one that can be differentiated everywhere
siegert.py  the integral behind the rate under noise (Siegert 1951)
"""

from neurosparse.lif.rates import LIF, current, rate, siegert_rate, soft_rate

__all__ = ["LIF", "current", "rate", "siegert_rate", "soft_rate"]
