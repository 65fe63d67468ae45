"""Stages, their store, the one training loop, cells and records."""
