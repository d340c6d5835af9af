"""Which turns of a conversation are one person's: embeddings of voices, and turns put into groups by them."""
