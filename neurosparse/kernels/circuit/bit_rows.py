"""Dense synapses as bits: a row of bits for each source, one for each cell of a partition.

Where a source reaches more than one cell in 16, with one weight and one delay, its row is shorter
than the list of its targets. A step adds the rows of all sources that fired as whole words. Eight
*planes* hold the binary digits of a count for each cell. So eight rows are added to all of them by
seven full adders, a few operations for hundreds of cells. In the end the planes are transposed into
a byte for each cell. A bit holds one synapse of a pair; further ones of the same pair stay in the
slices.

Cells are numbered so that the transposed planes lie in their order. Cells come in blocks of CELLS =
64 * WORDS, and a row has WORDS words for each block. Cell i of a block is bit i // (8 * WORDS) of
byte i % (8 * WORDS) of these.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from neurosparse._internal.types import Array
from neurosparse.kernels.compiled import njit

Index = int | np.integer  # numba knows numbers of NumPy where Python has its own
Words = NDArray[np.uint64]

# 64-bit words of a block: a number known to the compiler, so that the loop over them becomes
# vectors
WORDS = 16
CELLS = 64 * WORDS
PLANES = 8
AT_ONCE = 8  # rows
MOST_ROWS = 248  # rows that can be added before a count could leave 8 bits: a multiple of AT_ONCE


class BitRows(NamedTuple):
    """The rows of some groups of synapses.

    A group has the synapses of one source population, one delay and one weight.
    """

    rows: Words  # (n_partitions, (n_rows + 1) * n_words); the last row is empty
    n_words: int  # of a row
    first_unit: NDArray[np.int64]  # (n_groups,) the first source
    n_units: NDArray[np.int64]  # (n_groups,) sources
    first_row: NDArray[np.int64]  # (n_groups,) the row of the first source
    delay: NDArray[np.int64]  # (n_groups,) steps
    column: NDArray[np.int64]  # (n_groups,) the same, beyond the least delay of all
    weight: NDArray[np.int64]  # (n_groups,) quanta


@njit(nogil=True)
def place(cell: Index) -> tuple[int, int]:
    """Return the word of a row in which a cell has its bit, and the bit."""
    block, i = cell // CELLS, cell % CELLS
    byte = i % (8 * WORDS)
    return block * WORDS + byte // 8, 8 * (byte % 8) + i // (8 * WORDS)


@njit(nogil=True)
def claim(bits: BitRows, p: Index, group: Index, source: Index, cell: Index) -> np.bool:
    """Set the bit of a synapse onto local cell `cell` of partition p.

    False where another synapse of the pair has set it.
    """
    word, bit = place(np.int64(cell))
    at = (bits.first_row[group] + np.int64(source) - bits.first_unit[group]) * bits.n_words + word
    mask = np.uint64(1) << np.uint64(bit)
    free = bits.rows[p, at] & mask == 0
    bits.rows[p, at] |= mask
    result: np.bool = free
    return result


@njit(nogil=True)
def add_rows(
    rows: Words,
    n_words: int,
    due: NDArray[np.int64],
    n: int,
    planes: Words,
    weight: Index,
    row: Array,
) -> None:
    """Add `weight` to the cells of `row` for each bit in the rows of number due[:n].

    Parameters
    ----------
    rows
        Those of one partition.
    n_words
        Words of a row.
    due
        Room for AT_ONCE - 1 more than n.
    n
        The number of rows.
    planes : uint64, shape (PLANES * n_words,)
        Zero, and left so.
    weight
        Of each synapse, in quanta.
    row
        Input of the cells of the partition; added to.
    """
    empty = rows.size // n_words - 1
    for begin in range(0, n, MOST_ROWS):
        end = min(begin + MOST_ROWS, n)
        for at in range(begin, end, AT_ONCE):
            if at + AT_ONCE > end:
                due[end : at + AT_ONCE] = empty
            _add_eight(rows, n_words, due[at : at + AT_ONCE], planes)
        _transpose(planes)
        counts = planes.view(np.uint8)
        for i in range(min(row.size, counts.size)):
            row[i] += weight * counts[i]
        planes[:] = 0


@njit(nogil=True)
def _add_eight(rows: Words, n_words: int, due: NDArray[np.int64], planes: Words) -> None:
    """Add eight rows to the counts in the planes."""
    a, b, c, d = due[0] * n_words, due[1] * n_words, due[2] * n_words, due[3] * n_words
    e, f, g, h = due[4] * n_words, due[5] * n_words, due[6] * n_words, due[7] * n_words
    for block in range(n_words // WORDS):
        first, at = block * WORDS, block * PLANES * WORDS
        # one array of sources and one of planes: with more the compiler gives up on vectors
        for w in range(WORDS):
            i = first + w
            ones, twos, fours = planes[at + w], planes[at + WORDS + w], planes[at + 2 * WORDS + w]
            ones, two_a = _full_adder(ones, rows[a + i], rows[b + i])
            ones, two_b = _full_adder(ones, rows[c + i], rows[d + i])
            twos, four_a = _full_adder(twos, two_a, two_b)
            ones, two_a = _full_adder(ones, rows[e + i], rows[f + i])
            ones, two_b = _full_adder(ones, rows[g + i], rows[h + i])
            twos, four_b = _full_adder(twos, two_a, two_b)
            fours, carry = _full_adder(fours, four_a, four_b)
            planes[at + w], planes[at + WORDS + w], planes[at + 2 * WORDS + w] = ones, twos, fours
            # the other digits: unrolled, for a loop in here would be no vectors
            eights, sixteens = planes[at + 3 * WORDS + w], planes[at + 4 * WORDS + w]
            d5, d6, d7 = (
                planes[at + 5 * WORDS + w],
                planes[at + 6 * WORDS + w],
                planes[at + 7 * WORDS + w],
            )
            planes[at + 3 * WORDS + w] = eights ^ carry
            carry &= eights
            planes[at + 4 * WORDS + w] = sixteens ^ carry
            carry &= sixteens
            planes[at + 5 * WORDS + w] = d5 ^ carry
            carry &= d5
            planes[at + 6 * WORDS + w] = d6 ^ carry
            planes[at + 7 * WORDS + w] = d7 ^ (carry & d6)


@njit(nogil=True)
def _full_adder(a: np.uint64, b: np.uint64, c: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Return the sum of three bits, and the carry."""
    half = a ^ b
    return half ^ c, (a & b) | (half & c)


@njit(nogil=True)
def _transpose(planes: Words) -> None:
    """Turn the eight planes of each block into one byte for each cell.

    The planes are binary digits of the counts.
    """
    for block in range(planes.size // (PLANES * WORDS)):
        at = block * PLANES * WORDS
        for w in range(WORDS):
            i = at + w
            a, b, c, d = planes[i], planes[i + WORDS], planes[i + 2 * WORDS], planes[i + 3 * WORDS]
            e, f, g, h = (
                planes[i + 4 * WORDS],
                planes[i + 5 * WORDS],
                planes[i + 6 * WORDS],
                planes[i + 7 * WORDS],
            )
            # in each byte an 8 x 8 matrix of bits: exchange its off-diagonal bits, then pairs of
            # them, then halves
            one, near = np.uint64(1), np.uint64(0x5555555555555555)
            a, b = _exchange(a, b, one, near)
            c, d = _exchange(c, d, one, near)
            e, f = _exchange(e, f, one, near)
            g, h = _exchange(g, h, one, near)
            two, pairs = np.uint64(2), np.uint64(0x3333333333333333)
            a, c = _exchange(a, c, two, pairs)
            b, d = _exchange(b, d, two, pairs)
            e, g = _exchange(e, g, two, pairs)
            f, h = _exchange(f, h, two, pairs)
            four, halves = np.uint64(4), np.uint64(0x0F0F0F0F0F0F0F0F)
            a, e = _exchange(a, e, four, halves)
            b, f = _exchange(b, f, four, halves)
            c, g = _exchange(c, g, four, halves)
            d, h = _exchange(d, h, four, halves)
            planes[i], planes[i + WORDS], planes[i + 2 * WORDS], planes[i + 3 * WORDS] = a, b, c, d
            (
                planes[i + 4 * WORDS],
                planes[i + 5 * WORDS],
                planes[i + 6 * WORDS],
                planes[i + 7 * WORDS],
            ) = (
                e,
                f,
                g,
                h,
            )


@njit(nogil=True)
def _exchange(
    a: np.uint64, b: np.uint64, shift: np.uint64, mask: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Exchange the bits of a at `mask << shift` with those of b at `mask`; return both."""
    differ = ((a >> shift) ^ b) & mask
    return a ^ (differ << shift), b ^ differ
