"""How sparse is it: a spiking circuit, a rectifier network and a brain, measured the same way.

Names are loaded when first used, so that `import neurosparse` needs neither torch nor Brian2 nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neurosparse.activity import Activations, ActiveWhen, ActivityCurve, ActivityStats, Interval, Sparseness, SpikeTrains
    from neurosparse.comparison import Comparison, compare
    from neurosparse.lif import LIF
    from neurosparse.measurement import measure

_HOME = {
    "Activations": "activity",
    "ActiveWhen": "activity",
    "ActivityCurve": "activity",
    "ActivityStats": "activity",
    "Comparison": "comparison",
    "Interval": "activity",
    "LIF": "lif",
    "Sparseness": "activity",
    "SpikeTrains": "activity",
    "compare": "comparison",
    "measure": "measurement",
}

__all__ = [*sorted(_HOME), "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'neurosparse' has no attribute {name!r}")
    value = getattr(import_module(f"neurosparse.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
