"""A separator for others to use: what goes to the Hugging Face hub, and how it gets there."""
