"""Networks compared: everything equal but the network, on the reader's own machine and data."""
