"""Policy files: whatever the family, loading gives one record and never runs code from the file."""

from microbench.checkpoints.own import load_own, save_own
from microbench.checkpoints.record import Checkpoint

__all__ = ["Checkpoint", "load_own", "save_own"]
