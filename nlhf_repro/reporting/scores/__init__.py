"""Leaderboards and comparisons of scored annotation files; the statistics are `uncertainty`'s."""
