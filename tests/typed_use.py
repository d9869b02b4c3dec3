"""Use of public functions as a type checker sees it. Never run: mypy reads it with the package.

Each line with `type: ignore` is a misuse, and mypy is told to complain where it lets one pass.
"""

from typing import assert_type

import numpy as np
import torch
from numpy.typing import NDArray

from neurosparse.lif import LIF, current, rate, siegert_rate, soft_rate

cell, values, tensor = LIF(), np.array([0.1, 0.3]), torch.tensor([0.1, 0.3])

assert_type(rate(0.3, cell), np.float64)
assert_type(rate(1, cell), np.float64)
assert_type(rate([0.1, 0.3], cell), NDArray[np.float64])
assert_type(rate([[0.1], [0.3]], cell), NDArray[np.float64])
assert_type(rate(values, cell), NDArray[np.float64])
assert_type(rate(tensor, cell), torch.Tensor)
assert_type(current(20.0, cell), np.float64)
assert_type(current((20.0, 30.0), cell), NDArray[np.float64])
assert_type(current(tensor, cell), torch.Tensor)
assert_type(soft_rate(0.3, cell, smoothing=0.1), np.float64)
assert_type(soft_rate(values, cell), NDArray[np.float64])
assert_type(soft_rate(tensor, cell), torch.Tensor)
assert_type(siegert_rate(-60.0, 5.0, cell), np.float64)
assert_type(siegert_rate(values, 5.0, cell), NDArray[np.float64])
assert_type(siegert_rate(-60.0, values, cell), NDArray[np.float64])
assert_type(siegert_rate(tensor, 5.0, cell), torch.Tensor)
assert_type(siegert_rate(-60.0, tensor, cell), torch.Tensor)

rate("0.3", cell)  # type: ignore[arg-type]
rate(None, cell)  # type: ignore[call-overload]
rate(["0.3"], cell)  # type: ignore[arg-type]
rate(0.3)  # type: ignore[call-overload]
rate(0.3, 20.0)  # type: ignore[call-overload]
current(20.0, cell, 1.0)  # type: ignore[call-overload]
soft_rate(0.3, cell, smoothing="little")  # type: ignore[call-overload]
siegert_rate(-60.0, cell)  # type: ignore[call-overload]
rate([0.3], cell).backward()  # type: ignore[attr-defined]
rate(tensor, cell).astype(int)  # type: ignore[attr-defined]
LIF(tau_ms=20.0)  # type: ignore[call-arg]
