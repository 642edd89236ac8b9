"""Our reference scores are D4RL's own, read from its table as a file: the package itself cannot be imported."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from microbench.tasks import TASKS, normalized_score

OURS = {task.name: task for task in TASKS.values() if task.name is not None}
ENTRY = re.compile(rf"({'|'.join(OURS)})-[a-z-]+-v[0-2]")


@pytest.fixture(scope="module")
def infos() -> ModuleType:
    """`d4rl/infos.py`, executed alone; finding the package does not execute it."""
    package = importlib.util.find_spec("d4rl")
    if package is None or not package.submodule_search_locations:
        pytest.skip("the optional package d4rl is not installed")
    path = Path(package.submodule_search_locations[0]) / "infos.py"
    spec = importlib.util.spec_from_file_location("d4rl_infos", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_entry_of_our_tasks_has_our_anchors(infos: ModuleType) -> None:
    entries = [(name, match[1]) for name in infos.REF_MIN_SCORE if (match := ENTRY.fullmatch(name))]
    hands = {"pen", "door", "hammer", "relocate"}
    assert {robot for _, robot in entries} == {"hopper", "halfcheetah", "walker2d", "ant", *hands} == set(OURS)
    for name, robot in entries:
        assert infos.REF_MIN_SCORE[name] == OURS[robot].random_score, name
        assert infos.REF_MAX_SCORE[name] == OURS[robot].expert_score, name


@pytest.mark.parametrize("robot", sorted(OURS))
def test_scores_are_d4rls_times_a_hundred(infos: ModuleType, robot: str) -> None:
    name = f"{robot}-human-v1" if robot in ("pen", "door", "hammer", "relocate") else f"{robot}-medium-v2"
    low, high = infos.REF_MIN_SCORE[name], infos.REF_MAX_SCORE[name]
    for reached in (low, 0.0, 1234.5, high):
        assert normalized_score(OURS[robot], reached) == pytest.approx(100 * (reached - low) / (high - low), abs=1e-12)
