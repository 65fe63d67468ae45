"""Judges of benchmarks: endpoints, models in memory, oracles that pose as one."""
