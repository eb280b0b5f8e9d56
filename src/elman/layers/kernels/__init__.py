"""The inner loops of the layers, once for NumPy and torch tensors and once compiled by numba."""
