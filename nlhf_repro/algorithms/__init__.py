"""One file an algorithm: exact update, sampled recipe, guarantee, departures from the paper."""
