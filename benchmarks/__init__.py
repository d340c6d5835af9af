"""Measurements of this package beside others: `speed`, `live`, `quality` and `training`."""
