"""The network: encoder, mask network, decoder, and `separate`, the only way through them."""
