"""Functions of the C libraries that this process has loaded, where the system finds them by name alone."""

import ctypes
from collections.abc import Callable


def loaded_function(name: str) -> Callable | None:
    """Find a function in whatever library has it.

    Parameters
    ----------
    name : str
        As it is called in C.

    Returns
    -------
    callable or None
        None where no library has it, and on Windows, which looks into one library at a time.

    Examples
    --------
    >>> loaded_function("no_such_function")
    """
    try:
        everything = ctypes.CDLL(None)
    except (OSError, TypeError):  # Windows takes no None
        return None
    return getattr(everything, name, None)
