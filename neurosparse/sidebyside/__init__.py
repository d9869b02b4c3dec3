"""The main job: a spiking circuit and rectifier networks, run side by side and measured the same
way, into one folder.
"""

from neurosparse.sidebyside.running import CIRCUIT, NETWORKS, SideBySideSpec, check, run

__all__ = ["CIRCUIT", "NETWORKS", "SideBySideSpec", "check", "run"]
