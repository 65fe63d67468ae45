"""Nash learning from human feedback: algorithms, oracles and benchmarks, compared honestly."""

__version__ = "0.4.0"
