"""Streaming: real-time factors, and how little the start of the frames matters."""
