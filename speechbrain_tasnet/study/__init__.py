"""Compare networks, everything else equal, on the user's own machine and data."""
