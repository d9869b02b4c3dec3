from neurosparse import plots as plots
from neurosparse.activity import Activations as Activations
from neurosparse.activity import ActiveWhen as ActiveWhen
from neurosparse.activity import ActivityCurve as ActivityCurve
from neurosparse.activity import ActivityStats as ActivityStats
from neurosparse.activity import Interval as Interval
from neurosparse.activity import Sparseness as Sparseness
from neurosparse.activity import SpikeTrains as SpikeTrains
from neurosparse.comparison import Comparison as Comparison
from neurosparse.comparison import compare as compare
from neurosparse.interop import as_spikes as as_spikes
from neurosparse.lif import LIF as LIF
from neurosparse.measurement import measure as measure
from neurosparse.probe.watch import watch as watch
from neurosparse.sparsify import sparsify as sparsify
from neurosparse.spiking.simulate import simulate as simulate

__version__: str
