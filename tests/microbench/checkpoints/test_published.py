"""Files that others published, where they are at hand: each is read or refused as it should be, by us alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.foreign_checkpoints import FILES, Known
from microbench.adversaries.loading import load_adversary
from microbench.checkpoints import Overrides, load
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, plan_episodes

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT.parent / "shared" / "checkpoints"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the published files are not at hand")


def here(known: Known) -> Path:
    path = FOLDER / known.path
    if not path.is_file():
        pytest.skip(f"{known.path} is not at hand")
    return path


@pytest.mark.parametrize("known", FILES, ids=lambda known: known.path)
def test_every_file_is_read_or_refused_with_the_reason(known: Known) -> None:
    path = here(known)
    overrides = Overrides(env_id=known.env_id, activation=known.activation)
    if known.path.startswith("serl"):
        with pytest.raises(UserError, match="layer normalisation"):
            load(path, overrides)
        return
    checkpoint = load(path, overrides)
    assert checkpoint.env_id.startswith(known.path.split("/")[-2])
    if known.env_id is not None:
        with pytest.raises(UserError, match="HalfCheetah-v4, Walker2d-v4 have; say with --env"):
            load(path)


# Those whose returns hardly differ between episodes and machines: three episodes, seeds 0–2, of an independent reading.
STEADY = [known for known in FILES if known.spread is not None and known.mean and known.spread < 0.02 * known.mean]


@pytest.mark.parametrize("known", STEADY, ids=lambda known: known.path)
def test_steady_policies_earn_what_they_are_known_to_earn(known: Known) -> None:
    checkpoint = load(here(known), Overrides(env_id=known.env_id, activation=known.activation))
    conditions = Conditions(env_id=checkpoint.env_id, unit="raw")
    mean = evaluate_chunk(checkpoint, conditions, tuple(plan_episodes([CLEAN], 3, 0)))["return"].mean()
    assert known.mean is not None
    assert mean == pytest.approx(known.mean, rel=0.03)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("PPO/HalfCheetah/attack-ppo-halfcheetah.model", ""),
        ("SAPPO/Walker2d/attack-sappo-convex-walker.model", ""),
        ("PPO/Ant/attack-ppo-ant.model", ""),
        ("LSTM-PPO/Walker2d/attack-lstm-ppo-walker.model", ""),
        ("PPO/Ant/model-ppo-ant.model", "no adversary_policy_model"),
    ],
)
def test_adversaries_are_read_or_refused(name: str, words: str) -> None:
    path = here(Known(path=f"atla/{name}"))
    if not words:
        assert load_adversary(path).sensors == len(load(path).target.scale("policy-norm"))
        return
    with pytest.raises(UserError, match=words):
        load_adversary(path)


def test_no_library_of_theirs_is_needed() -> None:
    blocked = ["stable_baselines3", "sb3_contrib", "gym", "d3rlpy", "mujoco_py", "policy_gradients", "tables", "onnx"]
    code = f"""
import sys
for name in {blocked}:
    sys.modules[name] = None
from benchmarks.foreign_checkpoints import FILES
from microbench.checkpoints import Overrides, load
read = 0
for known in FILES:
    try:
        load(r"{FOLDER}/" + known.path, Overrides(env_id=known.env_id))
        read += 1
    except ValueError as error:
        print(error)
print("read", read)
"""
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout.split()[-1]) >= 1
