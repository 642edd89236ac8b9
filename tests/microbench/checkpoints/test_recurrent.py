"""Recurrent policies: memory belongs to a row's own episode, and no attack reaches it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks import Memory, Noise, Target, Threat
from microbench.adversaries.loading import Adversary, load_adversary
from microbench.checkpoints import Checkpoint, load
from microbench.episodes.loop import deterministic_action, run_episodes
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, Cell, plan_episodes
from microbench.simulators.contract import GymnasiumSimulator
from microbench.tasks import find_task
from microbench.tasks.environment import make_env
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.small_run import write_policy
from tests.microbench.toys import waves

STEPS = torch.tensor([1.0, 2.0, 3.0])


def clockwork(advance: float = 1.0) -> Target:
    """Looks at the clock and at nothing else: action sin(0.1·t·(1, 2, 3))."""
    return Target(
        policy=lambda seen: torch.sin(0.1 * seen[:, -1:] * STEPS),
        obs_scale={"raw": torch.ones(11)},
        memory=Memory(start=torch.zeros(1), advance=lambda seen, _: seen[:, -1:] + advance),
    )


def by_hand(seed: int) -> tuple[float, int]:
    env = make_env("Hopper-v4")
    env.reset(seed=seed)
    total, step, over = 0.0, 0, False
    while not over:
        seen = torch.tensor([[0.0] * 11 + [step]])
        _, reward, terminated, truncated, _ = env.step(deterministic_action(clockwork().policy, seen)[0])
        total, step, over = total + float(reward), step + 1, terminated or truncated
    env.close()
    return total, step


def test_every_row_has_the_memory_of_its_own_episode() -> None:
    seeds = [3, 4, 5, 6, 7]
    checkpoint = run_episodes(clockwork(), GymnasiumSimulator(find_task("Hopper-v4"), n=5), seeds)
    assert list(zip(checkpoint.returns.tolist(), checkpoint.lengths.tolist(), strict=True)) == [
        by_hand(seed) for seed in seeds
    ]
    assert len(set(checkpoint.returns.tolist())) == 5


def test_no_attack_reaches_the_memory() -> None:
    clocks: list[list[float]] = []

    def forger(target: Target, obs: Tensor, threat: Threat, noise: Noise) -> Tensor:
        clocks.append(obs[:, -1].tolist())
        return obs + 100

    scale = torch.cat([torch.ones(11), torch.zeros(1)])
    threat = Threat(eps=torch.full((2, 1), 0.5), scale=scale, unit="raw")
    simulator = GymnasiumSimulator(find_task("Hopper-v4"), n=2)
    checkpoint = run_episodes(clockwork(), simulator, [3, 4], forger, threat)
    assert checkpoint.returns.tolist() == [by_hand(seed)[0] for seed in (3, 4)]
    assert [row[0] for row in clocks] == list(range(len(clocks)))


def test_a_memory_that_is_no_number_ends_the_row() -> None:
    checkpoint = run_episodes(clockwork(float("nan")), GymnasiumSimulator(find_task("Hopper-v4"), n=2), [0, 1])
    assert checkpoint.flags == (("nan-action",), ("nan-action",))
    assert checkpoint.lengths.tolist() == [0, 0]


@pytest.mark.parametrize("attack", ["random", "action-diff", "pgd"])
def test_rows_of_a_recurrent_policy_do_not_depend_on_their_batch(tmp_path: Path, attack: str) -> None:
    weight = torch.linspace(-1, 1, 64).reshape(4, 16)  # sizes in fours: others have rows that depend on their place

    def padded(seen: Tensor) -> Tensor:
        return torch.cat([seen, seen.new_zeros(len(seen), 1)], 1)

    target = Target(
        policy=lambda seen: torch.tanh(padded(seen) @ weight.T)[:, :3],
        obs_scale={"raw": torch.full((11,), 0.5)},
        memory=Memory(start=torch.zeros(4), advance=lambda seen, _: torch.tanh(padded(seen) @ weight.T)),
    )
    checkpoint: Checkpoint = dataclasses.replace(write_policy(tmp_path / "p"), target=target)
    conditions = Conditions(env_id="Hopper-v4", unit="raw")
    episodes = plan_episodes([Cell(attack=attack, eps=0.2)], 5, 0)
    together = evaluate_chunk(checkpoint, conditions, tuple(episodes))["return"].to_numpy()
    alone = np.concatenate([evaluate_chunk(checkpoint, conditions, (episode,))["return"] for episode in episodes])
    np.testing.assert_array_equal(together, alone)
    clean = evaluate_chunk(checkpoint, conditions, tuple(plan_episodes([CLEAN], 5, 0)))["return"].to_numpy()
    assert (clean != together).any()


@pytest.mark.parametrize("recurrent", [False, True])
def test_an_adversary_that_remembers_follows_the_true_states(tmp_path: Path, recurrent: bool) -> None:
    """By hand: the adversary's LSTM sees the true observations of an episode, the victim's what it was shown."""
    content = files.sa_ppo(recurrent=recurrent, adversary=True, adversary_policy_model=files.lstm_tensors(files.OBS))
    victim = load(files.write(tmp_path / "a.model", content)).target
    attack = load_adversary(tmp_path / "a.model")
    assert isinstance(attack, Adversary)
    target, alone = attack.remembering(victim), attack.memory
    assert target.memory is not None
    assert alone is not None
    scale = victim.scale("policy-norm")
    own = 0 if victim.memory is None else len(victim.memory.start)
    assert len(target.memory.start) == own + len(alone.start)
    threat = Threat(eps=0.3, scale=torch.cat([scale, torch.zeros(own + len(alone.start))]), unit="policy-norm")
    theirs = torch.zeros(1, own)
    mine, carried = alone.start[None], target.memory.start[None]
    for obs in waves(5, 1, files.OBS, start=1.0):
        seen = attack(target, torch.cat([obs, carried], 1), threat, Noise.from_seeds([0]))
        shown = obs + 0.3 * scale * attack.direction(torch.cat([obs, mine], 1)).clamp(-1, 1)
        torch.testing.assert_close(seen[:, : files.OBS], shown)
        whole = torch.cat([shown, theirs], 1)
        torch.testing.assert_close(target.policy(seen), victim.policy(whole))
        carried = target.memory.advance(seen, torch.cat([obs, carried], 1))
        theirs = theirs if victim.memory is None else victim.memory.advance(whole, whole)
        mine = alone.advance(torch.cat([obs, mine], 1), torch.cat([obs, mine], 1))
        torch.testing.assert_close(carried, torch.cat([theirs, mine], 1))
