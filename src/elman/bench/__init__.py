"""How fast elman is on this machine: standard works, timed beside the floor and, if wanted, PyTorch."""
