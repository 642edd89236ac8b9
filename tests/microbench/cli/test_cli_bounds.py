"""Numbers beyond all measure are one sentence before anything runs, is written, or fills the memory."""

import time
from pathlib import Path

import pytest

from microbench.commands.evaluate import MOST_EPISODES, attack_cells
from microbench.errors import UserError
from microbench.seeds import CRITIC, CRITIC_STEP, LAST_CRITIC_SEED
from microbench.studies import sweeps
from tests.microbench.small_run import Shell, contents

HUGE = str(10**18)
LINES = [
    *(
        f"{command} --{option} {HUGE}"
        for command in ("attack --eps .1", "perturb")
        for option in ("episodes", "workers")
    ),
    *(
        f"{command} --{option} {value}"
        for command in ("attack --eps .1", "perturb")
        for option in ("claim", "fail-under")
        for value in ("nan", "inf", "-inf")
    ),
    *(f"{command} --max-action 1e300" for command in ("attack --eps .1", "perturb", "inspect", "critic")),
    "attack --eps .1 --seed " + str(2**63),
    "attack --eps 1e39",
    "attack --eps nan",
    f"attack --eps50 --budgets {HUGE}",
    f"attack --eps .1 --attack pgd(steps={HUGE})",
    "attack --eps .1 --attack min-q(n=100000000)",
    "attack --eps .1 --attack pgd(restarts=1000000)",
    "attack --eps .1 --attack random --attack fgsm --attack pgd --attack pgd-restarts --attack min-q --attack q-mean "
    "--attack q-std --attack action-diff --attack action-kl --attack targeted --episodes 100000",
    "perturb --mass 0.5:1.5:100000000",
    "perturb --mass 0.5:1.5:" + HUGE,
    "perturb --grid --mass 0.5:1.5:1000 --friction 0.5:1.5:1000",
    "perturb --mass 0.5:1.5:1000,friction=0.5:1.5:1000",
    f"perturb --samples {HUGE}",
    "perturb --samples 100000000",
    "perturb --mass 0.5:1.5:1000 --friction 0.5:1.5:1000 --episodes 1000",
    *(f"critic --{option} {HUGE}" for option in ("episodes", "steps", "members", "seed")),
    *(f"critic --{option} {value}" for option in ("noise", "gamma", "radius", "weight") for value in ("nan", "inf")),
    *(f"adversary --eps .1 --{option} {HUGE}" for option in ("steps", "tries")),
    "adversary --eps .1 --seed " + str(2**63),
    *(f"adversary --eps {value}" for value in ("nan", "inf", "1e39")),
    *(f"collect --out c.hdf5 --{option} {HUGE}" for option in ("steps", "evaluate-every", "seed")),
    "collect --out c.hdf5 --until-score nan",
    *(f"render --attack pgd --eps {value}" for value in ("nan", "inf", "1e39")),
    f"render --attack pgd --eps .1 --steps {HUGE}",
    "render --attack pgd --eps .1 --seed " + str(2**63),
]


@pytest.mark.parametrize("line", LINES)
def test_no_number_is_too_large_for_a_sentence(line: str, runs: Path, shell: Shell) -> None:
    before, began = contents(Path()), time.monotonic()
    more = [] if line.startswith("collect") else ["--runs", str(runs)]
    output = shell(*line.split(" "), *more)
    assert output.is_one_sentence, output
    assert contents(Path()) == before
    assert time.monotonic() - began < 10


def test_what_is_just_within_bounds_is_planned() -> None:
    assert len(sweeps.swept([sweeps.parse_sweep(f"mass=0.5:1.5:{sweeps.MOST_POINTS}")])) == sweeps.MOST_POINTS
    with pytest.raises(UserError, match="10,001 points are more than the 10,000 of one command"):
        sweeps.parse_sweep(f"mass=0.5:1.5:{sweeps.MOST_POINTS + 1}")
    assert attack_cells(["pgd"], [1e9])[0].eps == 1e9
    assert MOST_EPISODES == 1_000_000


def test_episodes_of_the_last_critic_seed_are_its_own_range() -> None:
    assert CRITIC_STEP * (LAST_CRITIC_SEED + 2) <= CRITIC.stop < CRITIC_STEP * (LAST_CRITIC_SEED + 3)
