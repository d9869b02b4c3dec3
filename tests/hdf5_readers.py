"""Readers of HDF5 files for test_recordings_hdf5, which need a module that another process can
import.
"""

import os
import signal
import sys
import time

import numpy as np


def all_kinds(file):
    print("told on standard error", file=sys.stderr)
    return {
        "numbers": np.arange(6.0).reshape(2, 3),
        "a/b é": np.array(True),
        "": np.array(["", "naïve"]),
        "bytes": np.array([b"x", b"yz"]),
        "none": np.empty((0, 2), np.uint8),
        "many": np.arange(300_000),
    }


def refuses(file):
    raise ValueError("it is not liked")


def breaks_down(file):
    os.kill(os.getpid(), signal.SIGSEGV)


def computes(file):
    while True:
        pass


def sleeps(file):
    time.sleep(1000)


def takes_memory(file):
    return {"much": np.ones(2**27)}


def is_wrong(file):
    return {"objects": np.array([object()])}
