"""Instructions that numba has no name for.

Prefetching, ordered loads and stores between threads, a pause while waiting.

Each takes an array and an index, so that no bare address is passed about. Nothing here checks an
index.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

if TYPE_CHECKING:
    from numba.core.base import BaseContext
    from numba.core.typing.context import Context
    from numba.core.typing.templates import Signature

Generator: TypeAlias = Callable[
    ["BaseContext", ir.IRBuilder, "Signature", list[ir.Value]], ir.Value
]
Typed: TypeAlias = "tuple[Signature, Generator]"  # what numba wants of an intrinsic

# kernels call an intrinsic by other arguments than its definition has
as_intrinsic: Callable[[Callable[..., Typed]], Callable[..., Any]] = intrinsic

UNIT = 16  # float32 of the shortest row that `sum_rows` adds: a vector of AVX-512, two of AVX
ROW = 64  # of the longest: eight vectors of AVX, half of its registers

_X86 = platform.machine().lower() in ("x86_64", "amd64", "i386", "i686")


def _address(
    context: BaseContext,
    builder: ir.IRBuilder,
    array_type: types.Type,
    array: ir.Value,
    index: ir.Value,
) -> ir.Value:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _row(
    context: BaseContext,
    builder: ir.IRBuilder,
    array_type: types.Type,
    array: ir.Value,
    index: ir.Value,
    kind: ir.VectorType,
) -> ir.Value:
    return builder.bitcast(_address(context, builder, array_type, array, index), kind.as_pointer())


def _row_type(width: types.UniTuple) -> ir.VectorType:
    """Return the vector of a row whose width a kernel was given as `as_type` has it."""
    return ir.VectorType(ir.FloatType(), UNIT * len(width))


def as_type(width: int) -> tuple[None, ...]:
    """Return a width, a multiple of `UNIT`, as a value whose type says it.

    So a kernel is compiled for each.
    """
    return (None,) * (width // UNIT)


def ask_for(builder: ir.IRBuilder, pointer: ir.Value) -> None:
    """Add an instruction that asks for the cache line of an address."""
    byte_pointer, i32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    function_type = ir.FunctionType(ir.VoidType(), [byte_pointer, i32, i32, i32])
    function = builder.module.declare_intrinsic("llvm.prefetch", [byte_pointer], function_type)
    # to read, into the second cache level, data
    at = builder.bitcast(pointer, byte_pointer)
    builder.call(function, [at, i32(0), i32(2), i32(1)])


@as_intrinsic
def prefetch(typing: Context, array: types.Type, index: types.Type) -> Typed:
    """Ask for the cache line of array[index], a 1-D array: prefetch(array, index).

    Never faults, also past the end.
    """

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        ask_for(builder, _address(context, builder, signature.args[0], *args))
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@as_intrinsic
def load_acquire(typing: Context, array: types.Type, index: types.Type) -> Typed:
    """Return array[index] of a 1-D int64 array: load_acquire(array, index).

    Later reads see what was written before its store_release.
    """

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        return builder.load_atomic(
            _address(context, builder, signature.args[0], *args), "acquire", 8
        )

    return types.int64(array, types.intp), generate


@as_intrinsic
def store_release(
    typing: Context, array: types.Type, index: types.Type, value: types.Type
) -> Typed:
    """Write array[index] of a 1-D int64 array after all earlier writes.

    store_release(array, index, value)
    """

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        builder.store_atomic(
            args[2], _address(context, builder, signature.args[0], *args[:2]), "release", 8
        )
        return context.get_dummy_value()

    return types.void(array, types.intp, types.int64), generate


@as_intrinsic
def pause(typing: Context) -> Typed:
    """Tell an x86 core that it spins; nothing elsewhere: `pause()`."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        if _X86:
            function_type = ir.FunctionType(ir.VoidType(), [])
            builder.call(
                cgutils.get_or_insert_function(
                    builder.module, function_type, "llvm.x86.sse2.pause"
                ),
                [],
            )
        return context.get_dummy_value()

    return types.void(), generate


@as_intrinsic
def sum_rows(
    typing: Context,
    z: types.Type,
    start: types.Type,
    at: types.Type,
    rows: types.Type,
    first: types.Type,
    units: types.Type,
    begin: types.Type,
    n: types.Type,
    width: types.UniTuple,
) -> Typed:
    """Sum rows into z: sum_rows(z, start, at, rows, first, units, begin, n, width).

    z = start[at : at + width] + the rows first + units[begin : begin + n].

    The arrays are 1-D, `rows` a matrix of `width` columns in one; `width` is what `as_type` gives.
    The sums stay in registers meanwhile: in a loop over z they would be loaded and stored for each
    row.
    """
    kind = _row_type(width)

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        i64 = ir.IntType(64)
        before, head, body, after = builder.block, *(builder.append_basic_block() for _ in range(3))

        def row(k: int, index: ir.Value) -> ir.Value:
            return _row(context, builder, signature.args[k], args[k], index, kind)

        started = builder.load(row(1, args[2]), align=4)
        builder.branch(head)
        builder.position_at_end(head)
        s, total = builder.phi(i64), builder.phi(kind)
        builder.cbranch(builder.icmp_signed("<", s, args[7]), body, after)
        builder.position_at_end(body)
        unit = builder.load(
            _address(context, builder, signature.args[5], args[5], builder.add(args[6], s))
        )
        place = builder.mul(builder.add(args[4], builder.sext(unit, i64)), i64(kind.count))
        s.add_incoming(i64(0), before)
        s.add_incoming(builder.add(s, i64(1)), body)
        total.add_incoming(started, before)
        total.add_incoming(builder.fadd(total, builder.load(row(3, place), align=4)), body)
        builder.branch(head)
        builder.position_at_end(after)
        builder.store(total, row(0, i64(0)), align=4)
        return context.get_dummy_value()

    i = types.int64
    return types.void(z, start, i, rows, i, units, i, i, width), generate


@as_intrinsic
def step_row(
    typing: Context, v: types.Type, z: types.Type, cell: types.Type, width: types.UniTuple
) -> Typed:
    """Carry a row of neurons over a step: step_row(v, z, cell, width).

    v are their potentials and z their currents, both 1-D float32 arrays; `width` is what `as_type`
    gives, at most `ROW`.

    `cell` is a tuple that begins with (threshold, leak, decay, keep, jump): u = z + (v - leak z)
    decay, and v = keep u + jump where u >= threshold, else u. Returns an uint64 whose bit j says
    whether u[j] >= threshold. In vectors by name: of a loop of this length the compiler makes one
    scalar instruction after another.
    """
    kind = _row_type(width)

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        i32, i64 = ir.IntType(32), ir.IntType(64)
        at_v, at_z = (
            _row(context, builder, signature.args[k], args[k], i64(0), kind) for k in (0, 1)
        )

        def everywhere(k: int) -> ir.Value:
            first = builder.insert_element(
                ir.Constant(kind, ir.Undefined), builder.extract_value(args[2], k), i32(0)
            )
            zeros = ir.Constant(ir.VectorType(i32, kind.count), None)
            return builder.shuffle_vector(first, first, zeros)

        threshold, leak, decay, keep, jump = map(everywhere, range(5))
        v, z = builder.load(at_v, align=4), builder.load(at_z, align=4)
        u = builder.fadd(z, builder.fmul(builder.fsub(v, builder.fmul(leak, z)), decay))
        fires = builder.fcmp_ordered(">=", u, threshold)
        builder.store(
            builder.select(fires, builder.fadd(builder.fmul(keep, u), jump), u), at_v, align=4
        )
        bits = builder.bitcast(fires, ir.IntType(kind.count))
        return bits if kind.count == i64.width else builder.zext(bits, i64)

    return types.uint64(v, z, cell, width), generate


@as_intrinsic
def popcount(typing: Context, bits: types.Type) -> Typed:
    """Count the bits of an uint64 that are set: `popcount(bits)`."""

    def generate(
        context: BaseContext, builder: ir.IRBuilder, signature: Signature, args: list[ir.Value]
    ) -> ir.Value:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), generate


# Gives the core to another thread: a spinning thread must not keep it from the one it waits for.
yield_core = types.ExternalFunction(
    "SwitchToThread" if os.name == "nt" else "sched_yield", types.int32()
)
