"""Products of rows of 8-bit numbers with a vector of 16-bit ones, in vectors by name.

Of a loop, the compiler makes instructions of half the width. And no processor fetches bytes from
memory as fast as they are added up here, unless it is asked ahead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from llvmlite import ir
from numba import types
from numba.core import cgutils

from neurosparse.kernels.intrinsics import Typed, as_intrinsic, ask_for

if TYPE_CHECKING:
    from numba.core.base import BaseContext
    from numba.core.typing.context import Context
    from numba.core.typing.templates import Signature

BLOCK = 64  # entries that are added at a time: the bytes of a cache line
AHEAD = 4096  # bytes by which memory is asked ahead

_LANES = BLOCK // 2  # of a vector


@as_intrinsic
def dot_of_blocks(
    typing: Context, rows: types.Type, start: types.Type, whole: types.Type, n: types.Type
) -> Typed:
    """Return the sum of rows[start + j] * whole[j]: dot_of_blocks(rows, start, whole, n).

    Both are 1-D arrays, of int8 and int16; j goes up to n, a multiple of `BLOCK`. The sum is an
    int32 and wraps around beyond it. Nothing here checks an index.
    """

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        i8, i16, i32, i64 = (ir.IntType(bits) for bits in (8, 16, 32, 64))
        bytes_, shorts, longs = (ir.VectorType(kind, _LANES) for kind in (i8, i16, i32))
        halves = ir.VectorType(i32, _LANES // 2)

        def data(k: int) -> ir.Value:
            return context.make_array(signature.args[k])(context, builder, args[k]).data

        def every_other(values: ir.Value, first: int) -> ir.Value:
            places = ir.Constant(halves, [i32(k) for k in range(first, _LANES, 2)])
            return builder.shuffle_vector(values, values, places)

        row, vector = builder.gep(data(0), [args[1]]), data(2)
        before, head, body, after = builder.block, *(builder.append_basic_block() for _ in range(3))
        builder.branch(head)
        builder.position_at_end(head)
        j = builder.phi(i64)
        totals = [builder.phi(halves) for _ in range(2)]
        builder.cbranch(builder.icmp_signed("<", j, args[3]), body, after)
        builder.position_at_end(body)
        ask_for(builder, builder.gep(row, [builder.add(j, i64(AHEAD))]))
        for k, total in enumerate(totals):
            at = builder.add(j, i64(k * _LANES))
            a = builder.load(builder.bitcast(builder.gep(row, [at]), bytes_.as_pointer()), align=1)
            b = builder.load(
                builder.bitcast(builder.gep(vector, [at]), shorts.as_pointer()), align=2
            )
            products = builder.mul(
                builder.sext(builder.sext(a, shorts), longs), builder.sext(b, longs)
            )
            # sums of neighbours, which x86 has as one instruction with their products
            pairs = builder.add(every_other(products, 0), every_other(products, 1))
            total.add_incoming(ir.Constant(halves, None), before)
            total.add_incoming(builder.add(total, pairs), body)
        j.add_incoming(i64(0), before)
        j.add_incoming(builder.add(j, i64(BLOCK)), body)
        builder.branch(head)
        builder.position_at_end(after)
        reduce = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(i32, [halves]),
            f"llvm.vector.reduce.add.v{halves.count}i32",
        )
        return builder.call(reduce, [builder.add(*totals)])

    return types.int32(rows, types.intp, whole, types.intp), generate
