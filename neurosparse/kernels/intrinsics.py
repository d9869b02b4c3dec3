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


# Gives the core to another thread: a spinning thread must not keep it from the one it waits for.
yield_core = types.ExternalFunction("SwitchToThread" if os.name == "nt" else "sched_yield", types.int32())
