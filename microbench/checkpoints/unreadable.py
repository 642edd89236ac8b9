"""Formats that are known and not read, each with the reason."""

from collections.abc import Callable, Mapping

from microbench.checkpoints.content import Content
from microbench.checkpoints.pickles import Stub

WHY: Mapping[str, Callable[[Content], bool]] = {
    "holds a whole pickled object, whose class decides what its weights mean": lambda content: isinstance(
        content.tree, Stub
    ),
    "has layer normalisation, and its layers do not say in which order it acts": lambda content: any(
        "norm" in name.lower() for name in content.tensors
    ),
}


def why(content: Content) -> str:
    """The reason why this content cannot be read; empty if it looks like nothing known."""
    return next((reason for reason, looks in WHY.items() if looks(content)), "")
