"""The speed of elman on this machine: standard workloads, compared with a floor and, optionally, PyTorch."""
