"""The fast paths on a graphics card: kernels that Triton compiles."""
