"""The main job: a spiking circuit and rectifier networks, measured the same way.

They run side by side, into one folder.
"""

from neurosparse.sidebyside.running import CIRCUIT, NETWORKS, SideBySideSpec, check, run

__all__ = ["CIRCUIT", "NETWORKS", "SideBySideSpec", "check", "run"]
