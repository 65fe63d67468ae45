"""Policies that can be trained: one file a kind."""
