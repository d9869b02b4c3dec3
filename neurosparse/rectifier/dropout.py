"""Units left out by chance in training (dropout; Srivastava et al. 2014), in torch.

`kernels.network.dropout` says by which rule, and does the same for the sparse engine.
"""

from __future__ import annotations

import torch
from torch import Tensor


def masks(
    share: float, draw: int, images: range, widths: tuple[int, ...], like: Tensor
) -> list[Tensor]:
    """Return what each hidden layer's outputs are multiplied by: 0, or 1 / (1 - `share`).

    Parameters
    ----------
    share
        The share of units that is left out, in [0, 1).
    draw
        The number that decides which, of 64 bits.
    images
        The images by their place in the draw.
    widths
        The units of each hidden layer.
    like
        A tensor of the device and dtype that the masks are to have.

    Returns
    -------
    list of tensor
        One for each hidden layer, of shape (images, units).

    Examples
    --------
    >>> (mask,) = masks(0.5, 7, range(100), (50,), torch.zeros(()))
    >>> mask.unique().tolist(), mask.mean()
    ([0.0, 2.0], tensor(1.0...))
    """
    from neurosparse.kernels.network.dropout import BITS, IMAGE, LAYER, MIX_1, MIX_2, UNIT

    where = like.device
    places = torch.arange(images.start, images.stop, device=where)[:, None] * _signed(IMAGE)
    least, scale = int(share * (1 << BITS)), 1.0 / (1.0 - share)
    found = []
    for layer, width in enumerate(widths):
        start = places + _signed(draw + layer * LAYER)
        x = start + torch.arange(width, device=where) * _signed(UNIT)
        x = (x ^ _shifted(x, 30)) * _signed(MIX_1)
        x = (x ^ _shifted(x, 27)) * _signed(MIX_2)
        stays = _shifted(x, 64 - BITS) >= least
        found.append(stays.to(like.dtype) * scale)
    return found


def _signed(bits: int) -> int:
    """Return the lowest 64 bits as torch's int64 has them."""
    bits &= (1 << 64) - 1
    return bits - (1 << 64) if bits >> 63 else bits


def _shifted(x: Tensor, by: int) -> Tensor:
    """Return x >> `by` with zeros coming in from above, as of unsigned numbers."""
    return (x >> by) & ((1 << (64 - by)) - 1)
