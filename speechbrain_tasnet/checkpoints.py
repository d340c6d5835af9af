"""The checkpointer under the path that recipes and earlier runs name; it lives in `training`."""

from speechbrain_tasnet.training.checkpoints import WholeCheckpointer

__all__ = ["WholeCheckpointer"]
