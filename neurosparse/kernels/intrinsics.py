"""What numba has no name for: prefetching, ordered loads and stores between threads, a pause while waiting.

Each takes an array and an index, so that no bare address is passed about. Nothing here checks an index.
"""

from __future__ import annotations

import os
import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_intrinsic: Any = intrinsic  # a type checker would hold the callers to the signature of the generator, not of the call

VECTOR = 8  # float32 of a vector of AVX; other machines take it in parts, or two at a time
ROW = 32  # float32 of a row that `sum_rows` adds: four sums at a time hide the latency of one

_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


def _address(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


@_intrinsic
def prefetch(typing: Any, array: Any, index: Any) -> Any:
    """prefetch(array, index): ask for the cache line of array[index], a 1-D array; never faults, also past the end."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        byte_pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
        function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], function_type)
        pointer = builder.bitcast(_address(context, builder, signature.args[0], *args), byte_pointer)
        builder.call(function, [pointer, i32(0), i32(2), i32(1)])  # to read, into the second cache level, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@_intrinsic
def load_acquire(typing: Any, array: Any, index: Any) -> Any:
    """load_acquire(array, index): array[index] of a 1-D int64 array; later reads see what was written before its store_release."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load_atomic(_address(context, builder, signature.args[0], *args), "acquire", 8)

    return types.int64(array, types.intp), generate


@_intrinsic
def store_release(typing: Any, array: Any, index: Any, value: Any) -> Any:
    """store_release(array, index, value): write array[index] of a 1-D int64 array after all earlier writes."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store_atomic(args[2], _address(context, builder, signature.args[0], *args[:2]), "release", 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@_intrinsic
def pause(typing: Any) -> Any:
    """pause(): tell an x86 core that it spins; nothing elsewhere."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if _X86:
            function_type = ir.FunctionType(ir.VoidType(), [])
            builder.call(cgutils.get_or_insert_function(builder.module, function_type, "llvm.x86.sse2.pause"), [])
        return context.get_dummy_value()

    return types.void(), generate


@_intrinsic
def sum_rows(typing: Any, z: Any, start: Any, at: Any, rows: Any, first: Any, units: Any, begin: Any, n: Any) -> Any:
    """sum_rows(z, start, at, rows, first, units, begin, n): z = start[at : at + ROW] + the rows first + units[begin : begin + n].

    The arrays are 1-D, `rows` a matrix of ROW columns in one. The sums stay in registers meanwhile: in a loop over z they would be
    loaded and stored for each row.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        vector, i64 = ir.VectorType(ir.FloatType(), VECTOR), ir.IntType(64)
        lanes = [i64(k) for k in range(ROW // VECTOR)]
        before, head, body, after = builder.block, *(builder.append_basic_block() for _ in range(3))

        def vectors(k: int, index: Any) -> Any:
            return builder.bitcast(_address(context, builder, signature.args[k], args[k], index), vector.as_pointer())

        def load(pointer: Any, lane: Any) -> Any:
            return builder.load(builder.gep(pointer, [lane]), align=4)

        started, table, sums = vectors(1, args[2]), vectors(3, i64(0)), vectors(0, i64(0))
        started = [load(started, lane) for lane in lanes]
        builder.branch(head)
        builder.position_at_end(head)
        s, totals = builder.phi(i64), [builder.phi(vector) for _ in lanes]
        builder.cbranch(builder.icmp_signed("<", s, args[7]), body, after)
        builder.position_at_end(body)
        unit = builder.load(_address(context, builder, signature.args[5], args[5], builder.add(args[6], s)))
        row = builder.mul(builder.add(args[4], builder.sext(unit, i64)), i64(len(lanes)))
        s.add_incoming(i64(0), before)
        s.add_incoming(builder.add(s, i64(1)), body)
        for lane, total, value in zip(lanes, totals, started, strict=True):
            total.add_incoming(value, before)
            total.add_incoming(builder.fadd(total, load(table, builder.add(row, lane))), body)
        builder.branch(head)
        builder.position_at_end(after)
        for lane, total in zip(lanes, totals, strict=True):
            builder.store(total, builder.gep(sums, [lane]), align=4)
        return context.get_dummy_value()

    i = types.int64
    return types.void(z, start, i, rows, i, units, i, i), generate


# Gives the core to another thread: a spinning thread must not keep it from the one it waits for.
yield_core = types.ExternalFunction("SwitchToThread" if os.name == "nt" else "sched_yield", types.int32())
