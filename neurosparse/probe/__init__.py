"""Any torch module, recorded while it runs.

Which of its calls are layers of activity, and how active their units are.
"""

from neurosparse._internal.imports import need

need("torch", "measuring a network")
