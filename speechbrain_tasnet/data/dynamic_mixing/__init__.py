"""Dynamic mixing: a new mixture for every training item."""
