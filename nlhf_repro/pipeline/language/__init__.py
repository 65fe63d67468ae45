"""Training and scoring language models: the same loop, with texts in place of actions."""
