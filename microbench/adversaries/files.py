"""The files of `microbench adversary`: the adversary, its learning curve, and the state of a running training."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from microbench.errors import UserError
from microbench.learning.stored_state import differences, read_state
from reports.files import replace


@dataclass(frozen=True, kw_only=True)
class Files:
    """The adversary's file, with its learning curves (.csv) and, until training ends, its state (.resume.pt)."""

    adversary: Path

    @property
    def curve(self) -> Path:
        """The file of the learning curves, with one line per update of every try."""
        return self.adversary.with_suffix(".csv")

    @property
    def state(self) -> Path:
        """The file of the last stored iteration."""
        return self.adversary.with_suffix(".resume.pt")

    def open(self, description: Mapping[str, Any], *, resume: bool, force: bool) -> dict[str, Any] | None:
        """The stored state of the training to resume; None if there is none.

        Raises:
            UserError: there are files and neither `resume` nor `force` is set, or the stored training is another one
                or damaged.
            OSError: a file cannot be read.
        """
        if force:  # the old adversary stays until the new one replaces it
            self.state.unlink(missing_ok=True)
            return None
        interrupted = self.state.exists()
        if not (interrupted and resume) and (interrupted or self.adversary.exists()):
            done = "a training that was interrupted" if interrupted else "a finished adversary"
            way = "add --resume to continue it, " if interrupted else ""
            raise UserError(f"{self.adversary} is {done}; {way}--force to start it over, or choose another --out.")
        return self._stored(description) if interrupted else None

    def _stored(self, description: Mapping[str, Any]) -> dict[str, Any]:
        state = read_state(self.state.read_bytes())
        try:
            stored = json.loads(state["description"]) if state is not None else None
        except (LookupError, ValueError, TypeError):
            stored = None
        if not isinstance(stored, dict) or state is None:
            raise UserError(f"{self.state} is damaged; start the training over with --force.")
        differing = differences(stored, description)
        if differing:
            raise UserError(
                f"{self.state} was started with {', '.join(differing)}; resume it as it was started, or start it "
                f"over with --force."
            )
        return dict(state)

    def store(self, description: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Replace the stored state."""
        buffer = io.BytesIO()
        torch.save({**state, "description": json.dumps(description)}, buffer)
        replace(self.state, buffer.getvalue())

    def finish(self, content: bytes, curves: Sequence[Sequence[Mapping[str, float]]]) -> None:
        """Write the adversary and the curves, and remove the state."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["try", *curves[0][0]])
        for number, curve in enumerate(curves):
            writer.writerows([number, *("" if math.isnan(value) else value for value in row.values())] for row in curve)
        replace(self.curve, text.getvalue().encode())
        replace(self.adversary, content)
        self.state.unlink(missing_ok=True)
