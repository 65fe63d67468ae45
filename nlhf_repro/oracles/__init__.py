"""Where preferences come from: families of games, oracles that answer, wrappers of oracles."""
