"""The fast paths on a processor: loops that Numba compiles, and the tensors they work on."""
