"""Measurements of this package compared with others: `speed`, `live`, `quality` and `training`."""
