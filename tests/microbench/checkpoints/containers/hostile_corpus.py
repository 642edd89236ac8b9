"""All files made to do harm and all that are only broken: five hundred, by name."""

from pathlib import Path

from tests.microbench.checkpoints.containers.hostile_files import broken, calls, pickles, tensors, zips
from tests.microbench.checkpoints.containers.hostile_programs import graphs, torchscripts


def corpus(canary: Path) -> dict[str, bytes]:
    """All of them; commands in them would touch `canary`."""
    return dict([*calls(canary), *pickles(), *zips(), *tensors(), *torchscripts(canary), *graphs(), *broken()])
