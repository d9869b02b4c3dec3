"""How sparse is it: a spiking circuit, a rectifier network and a brain, measured the same way.

Names are loaded when first used, so that `import neurosparse` needs neither torch nor Brian2 nor
matplotlib.
"""

from typing import TYPE_CHECKING

from neurosparse._internal import former_names, lazy

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neurosparse.activity import (
        Activations,
        ActiveWhen,
        ActivityCurve,
        ActivityStats,
        Interval,
        Sparseness,
        SpikeTrains,
    )
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

__all__ = [
    "LIF",
    "Activations",
    "ActiveWhen",
    "ActivityCurve",
    "ActivityStats",
    "Comparison",
    "Interval",
    "Sparseness",
    "SpikeTrains",
    "__version__",
    "compare",
    "measure",
]


former_names.install()
__getattr__, __dir__ = lazy.exports(__name__, _HOME)
