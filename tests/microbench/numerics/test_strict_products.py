"""A row of a product must not depend on its batch, on any processor; Intel's library has to be asked for that."""

import os
import subprocess
import sys

import pytest

from microbench.checkpoints import load
from microbench.errors import UserError
from microbench.numerics import strict_products
from microbench.numerics.rows import one_thread
from microbench.numerics.strict_products import VARIABLE, use_strict_products

INTEL, AMD = "vendor_id\t: GenuineIntel\nmodel\t: 143", "vendor_id\t: AuthenticAMD\nmodel\t: 26"

# As in an evaluation: the policy is read (here: is missing), then asked for the actions of few rows and of many.
SCRIPT = """
import torch
from microbench.checkpoints import load
from microbench.episodes.loop import deterministic_action
from microbench.errors import UserError
from microbench.numerics.rows import one_thread
from microbench.learning.networks import Actor

try:
    load("nowhere.safetensors")
except UserError:
    pass
generator = torch.Generator().manual_seed(0)
actor = Actor(11, 3, (256, 256), generator=generator).requires_grad_(False)
obs = torch.randn(200, 11, generator=generator)
with one_thread():
    together = deterministic_action(actor, obs)
    pieces = [(rows, start) for rows in (1, 2, 7, 9, 31, 100) for start in (0, 3, 200 - rows)]
    alone = {of: deterministic_action(actor, obs[of[1] : of[1] + of[0]]) for of in pieces}
print([of for of, action in alone.items() if (action != together[of[1] : of[1] + of[0]]).any()])
"""


@pytest.mark.parametrize(("processor", "before", "after"), [
    (INTEL, None, "AUTO,STRICT"),
    (INTEL, "COMPATIBLE", "COMPATIBLE"),
    (AMD, None, None),
])  # fmt: skip
def test_only_intels_products_are_changed_and_no_setting_of_the_user(
    processor: str, before: str | None, after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_products, "_processor", lambda: processor)
    monkeypatch.setenv(VARIABLE, "")  # so that it is put back
    os.environ.pop(VARIABLE)
    if before is not None:
        os.environ[VARIABLE] = before
    use_strict_products()
    assert os.environ.get(VARIABLE) == after


def test_reading_a_policy_and_evaluating_one_both_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_products, "_processor", lambda: INTEL)
    monkeypatch.setenv(VARIABLE, "")
    os.environ.pop(VARIABLE)
    with pytest.raises(UserError):
        load("nowhere.safetensors")
    assert os.environ.pop(VARIABLE) == "AUTO,STRICT"
    with one_thread():
        assert os.environ[VARIABLE] == "AUTO,STRICT"


def test_the_processor_is_told() -> None:
    assert strict_products._processor()


def test_actions_do_not_depend_on_the_grouping_in_a_process_of_its_own() -> None:
    """The variable is not set before, as in a user's shell."""
    free = {name: value for name, value in os.environ.items() if name != VARIABLE}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=free, capture_output=True, text=True, check=True, timeout=120
    )
    assert ended.stdout.strip() == "[]"
