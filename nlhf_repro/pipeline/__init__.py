"""Stages, their keys and their store, the cell that runs them, and the records that tables read."""
