"""Publish a separator: what goes to the Hugging Face hub, and how it gets there."""
