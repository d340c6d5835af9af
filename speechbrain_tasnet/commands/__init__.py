"""The commands of ``tasnet``, one file each: ``describe`` tells its options, ``run`` does the work.

Heavy modules are imported by the command that needs them: help comes at once, and `mix` without torch.
"""
