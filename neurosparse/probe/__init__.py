"""Any torch module, recorded while it runs: which of its calls are layers of activity, and how
active their units are.
"""
