"""Policy files of many families; loading returns one record and never runs code from the file."""

from microbench.checkpoints.families import FAMILIES, load, reload
from microbench.checkpoints.own import load_own, save_own
from microbench.checkpoints.record import Checkpoint, Overrides, Source

__all__ = ["FAMILIES", "Checkpoint", "Overrides", "Source", "load", "load_own", "reload", "save_own"]
