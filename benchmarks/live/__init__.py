"""Streaming: real-time factors, and how little the beginning of the frames matters."""
