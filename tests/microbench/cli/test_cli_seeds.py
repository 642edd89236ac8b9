"""`microbench train --seeds`: one command, a run folder per seed."""

import json
import sys
from pathlib import Path

import pytest
import torch

from microbench.checkpoints import load_own
from microbench.cli import main
from microbench.learning.train import Training
from tests.microbench.small_run import Shell, contents, train_arguments

NAMES = [f"hopper_tiny-micro-quick-s{seed}" for seed in (0, 2)]


@pytest.fixture(scope="module")
def both(hopper_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds trained together."""
    out, threads = tmp_path_factory.mktemp("both"), torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["microbench", *train_arguments(hopper_file, out), "--seeds", "0,2", "--quiet"])
        with pytest.raises(SystemExit, match="0"):
            main()
    torch.set_num_threads(threads)
    return out


def test_every_seed_has_its_run_folder(both: Path) -> None:
    assert sorted(path.name for path in both.iterdir()) == [*NAMES, "latest"]
    assert (both / "latest").resolve().name == NAMES[0]
    for seed, name in zip((0, 2), NAMES, strict=True):
        output = json.loads((both / name / "config.json").read_text())
        assert (output["seed"], output["together"]) == (seed, [0, 2])
        assert load_own(both / name / "policy.safetensors").train_seed == seed
        assert len((both / name / "log.csv").read_text().splitlines()) == 4


def test_its_policies_are_those_of_single_runs(both: Path, runs: Path) -> None:
    """`runs` holds seed 0 by the same settings, alone: the same dynamics to the bit, the same policy to rounding."""
    alone, together = contents(runs / NAMES[0]), contents(both / NAMES[0])
    assert together["dynamics.safetensors"] == alone["dynamics.safetensors"]
    obs = torch.linspace(-1, 1, 55).view(5, 11)
    one, other = (load_own(out / NAMES[0] / "policy.safetensors").target for out in (runs, both))
    torch.testing.assert_close(other.policy(obs), one.policy(obs), rtol=1e-4, atol=1e-5)
    third = load_own(both / NAMES[1] / "policy.safetensors").target
    assert not third.policy(obs).isclose(one.policy(obs), atol=1e-3).all()


def test_a_stored_run_is_not_larger_for_its_neighbours(both: Path, runs: Path) -> None:
    sizes = [(out / NAMES[0] / "resume.pt").stat().st_size for out in (runs, both)]
    assert sizes[1] < 1.1 * sizes[0]


def test_finished_runs_are_resumed_to_themselves(both: Path, hopper_file: Path, shell: Shell) -> None:
    before = {name: contents(both / name)["policy.safetensors"] for name in NAMES}
    result = shell(*train_arguments(hopper_file, both), "--seeds", "0,2", "--resume", "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")
    assert {name: contents(both / name)["policy.safetensors"] for name in NAMES} == before
    assert "already holds a run" in shell(*train_arguments(hopper_file, both), "--seeds", "0,2").err


def test_what_decides_the_last_bits_cannot_be_changed_unnoticed(both: Path, hopper_file: Path, shell: Shell) -> None:
    result = shell(*train_arguments(hopper_file, both), "--seeds", "0,1,2", "--resume")
    assert result.is_one_sentence
    assert "together [0, 2] instead of [0, 1, 2]" in result.err


@pytest.mark.parametrize("seeds", ["", "0,", "a", "0;1", "-1", "1.5", "0,0", "3,1,3"])
def test_seeds_that_are_none_are_told(seeds: str, hopper_file: Path, tmp_path: Path, shell: Shell) -> None:
    result = shell(*train_arguments(hopper_file, tmp_path), f"--seeds={seeds}")
    assert result.is_one_sentence
    assert f"--seeds {seeds}" in result.err
    assert list(tmp_path.iterdir()) == []


def test_scores_are_told_with_their_seed(hopper_file: Path, tmp_path: Path, shell: Shell) -> None:
    result = shell(*train_arguments(hopper_file, tmp_path / "out", steps=10, evaluate_every=1), "--seeds", "3,1")
    output = [line for line in result.err.splitlines() if "normalized score" in line]
    assert [line.split(":")[0] for line in output] == ["seed 3, epoch 1", "seed 1, epoch 1"]
    assert [line for line in result.out.splitlines() if line.startswith("policy:")] == [
        f"policy: {tmp_path / 'out' / f'hopper_tiny-micro-quick-s{seed}' / 'policy.safetensors'}" for seed in (3, 1)
    ]


@pytest.mark.parametrize("resume", [False, True])
def test_a_device_that_is_full_is_told(
    hopper_file: Path, tmp_path: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, *, resume: bool
) -> None:
    """Also while a stored state is read, which is not at fault."""
    arguments = [*train_arguments(hopper_file, tmp_path), "--quiet"]

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.\nmore of it")

    if resume:
        assert shell(*arguments).code == 0
        arguments.append("--resume")
    monkeypatch.setattr(Training, "load_state_dict" if resume else "fit_dynamics", full)
    result = shell(*arguments)
    assert result.is_one_sentence
    assert "cpu has too little memory (CUDA out of memory. Tried to allocate 2 GiB.)" in result.err
    assert "--set rollout_batch=ROWS" in result.err
