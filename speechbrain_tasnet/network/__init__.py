"""The network: encoder, mask network, decoder, and `separate`, the one way through them."""
