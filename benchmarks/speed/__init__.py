"""Speed and memory of the network beside the same network in other toolkits: ``python -m benchmarks.speed``."""
