"""The machine and its operating system: files, processes, memory, energy, the processor."""
