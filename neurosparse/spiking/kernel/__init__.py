"""The kernel engine's workshop: a circuit as the arrays that its numba kernels take."""
