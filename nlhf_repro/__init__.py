"""Nash learning from human feedback: algorithms, oracles and benchmarks, compared with intervals that cover."""

__version__ = "0.1.0"
