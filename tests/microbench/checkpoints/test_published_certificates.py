"""Certificates of published policies, where their files are at hand: robust training makes the bounds small."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from attacks import ATTACKS, Noise, Target, Threat
from attacks.certificates import METHODS, largest_change
from microbench.checkpoints import load

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "checkpoints" / "sa_ppo" / "Hopper"
ORDINARY, ROBUST = FOLDER / "model-ppo-hopper-best.model", FOLDER / "model-sappo-sgld-hopper-best.model"

pytestmark = pytest.mark.skipif(
    not (ORDINARY.is_file() and ROBUST.is_file()), reason="the published files are not at hand"
)


def around(target: Target, rows: int = 20) -> Tensor:
    """Observations about as far from the mean as those of training."""
    assert target.network is not None
    assert target.network.mean is not None
    normal = torch.randn(rows, len(target.scale("raw")), generator=torch.Generator().manual_seed(0))
    return target.network.mean + target.scale("policy-norm") * normal


def bounds(path: Path, eps: float, method: str) -> Tensor:
    target = load(path).target
    assert target.network is not None
    threat = Threat(eps=eps, scale=target.scale("policy-norm"), unit="policy-norm")
    return largest_change(target.network, around(target), threat, method)


@pytest.mark.parametrize("method", METHODS)
def test_robust_training_makes_the_bound_smaller_at_a_third_of_the_published_budget(method: str) -> None:
    assert float(bounds(ROBUST, 0.025, method).mean()) < float(bounds(ORDINARY, 0.025, method).mean())


@pytest.mark.parametrize("path", [ORDINARY, ROBUST], ids=["ppo", "sa-ppo"])
@pytest.mark.parametrize("name", ["pgd-restarts", "action-diff", "action-kl", "v-min"])
def test_the_float32_policy_under_attack_stays_within_the_bound_up_to_its_rounding(path: Path, name: str) -> None:
    target = load(path).target
    obs, threat = around(target), Threat(eps=0.075, scale=target.scale("policy-norm"), unit="policy-norm")
    seen = threat.project(obs, ATTACKS[name](target, obs, threat, Noise.from_seeds(range(20))))
    low, high = target.require_action_box()
    shown, clean = (torch.clamp(target.policy(x), low, high).double() for x in (seen, obs))
    assert bool(((shown - clean).abs() <= bounds(path, 0.075, "crown") + 1e-5).all())
