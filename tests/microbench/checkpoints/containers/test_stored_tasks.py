"""A file names a task and no code: `module:Id` counts only where the user says it."""

import json
import sys
from pathlib import Path

import pytest
from safetensors.torch import load, save

from microbench.checkpoints import Overrides
from microbench.checkpoints import load as load_policy
from microbench.checkpoints.families import reload
from microbench.errors import UserError
from microbench.shown import shown
from tests.microbench.small_run import Shell, policy_bytes


def renamed(**changes: object) -> bytes:
    """A policy of ours whose description says something else."""
    content = policy_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    about = json.loads(header["__metadata__"]["microbench"]) | changes
    return save(load(content), {"microbench": json.dumps(about)})


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A module of the working directory that would leave it."""
    (tmp_path / "evil_task.py").write_text(
        f"import pathlib\npathlib.Path({str(tmp_path / 'canary')!r}).touch()\n"
        "import gymnasium\n"
        "gymnasium.register('Evil-v4', entry_point='gymnasium.envs.mujoco.hopper_v4:HopperEnv')\n"
    )
    return tmp_path / "canary"


@pytest.mark.parametrize("module", ["evil_task", "this", "xml.evil_task", "evil_task:evil_task"])
def test_no_command_imports_what_a_file_names(canary: Path, shell: Shell, module: str) -> None:
    Path("p.safetensors").write_bytes(renamed(env_id=f"{module}:Hopper-v4"))
    Path("good.safetensors").write_bytes(policy_bytes())
    sys.modules.pop("this", None)
    few = ("--episodes", 1, "--workers", 1)
    for line in (
        ["inspect", "p.safetensors"],
        ["attack", "p.safetensors", "--eps", "0.1", *few],
        ["perturb", "p.safetensors", "--mass", "2", *few],
        ["render", "p.safetensors", "--perturbation", "mass=2"],
        ["critic", "p.safetensors", "--episodes", 1],
        ["adversary", "p.safetensors", "--eps", "0.1", "--steps", 1],
        ["attack", "good.safetensors", "--eps", "0.1", "--attack", "min-q(critic='p.safetensors')", *few],
        ["attack", "p.safetensors", "--env", "other_module:Hopper-v4", "--eps", "0.1", *few],
    ):
        ended = shell(*line)
        assert ended.is_one_sentence, line
        assert "would import a module" in ended.err, line
    assert not canary.exists()
    assert "this" not in sys.modules


def test_the_same_task_in_the_users_own_words_is_made(canary: Path, shell: Shell) -> None:
    Path("p.safetensors").write_bytes(renamed(env_id="evil_task:Evil-v4"))
    line = ["attack", "p.safetensors", "--eps", "0.1", "--attack", "random", "--episodes", 1, "--workers", 1]
    ended = shell(*line, "--env", "evil_task:Evil-v4")
    assert ended.code == 0, ended.err
    assert canary.exists()


def test_a_worker_reads_again_what_the_user_said(tmp_path: Path) -> None:
    path = tmp_path / "p.safetensors"
    path.write_bytes(renamed(env_id="evil_task:Evil-v4"))
    with pytest.raises(UserError, match="would import a module"):
        load_policy(path)
    checkpoint = load_policy(path, Overrides(env_id="evil_task:Evil-v4"))
    assert reload(checkpoint.source).env_id == "evil_task:Evil-v4"


@pytest.mark.parametrize(
    "changes",
    [
        {"env_id": "x" * 100_000},
        {"env_id": "\x1b[2J\ud800\u202e"},
        {"algorithm": "\x1b]0;title\x07"},
        {"dataset": "a\nb"},
        {"algorithm": "a" * 80_000},
        {"train_seed": 10**30},
        {"train_seed": -1},
        {"score": 10**400},
        {"hidden": [0]},
        {"hidden": [-16, 16]},
        {"hidden": [10**6, 10**6]},
        {"hidden": [[16], 16]},
        {"hidden": {"16": 16}},
        {"hidden": "16"},
        {"hidden": None},
        {"dataset": ["a"]},
    ],
)
def test_what_a_description_cannot_say_is_one_short_sentence(
    tmp_path: Path, shell: Shell, changes: dict[str, object]
) -> None:
    Path("p.safetensors").write_bytes(renamed(**changes))
    for line in (["inspect", "p.safetensors"], ["attack", "p.safetensors", "--eps", "0.1", "--episodes", "1"]):
        ended = shell(*line)
        assert ended.is_one_sentence, ended
        assert len(ended.err) < 2100
        assert "\x1b" not in ended.err + ended.out


def test_a_shown_text_steers_no_terminal() -> None:
    assert shown("a\x1b[31mb\r\u202e\ud800é") == "a\\x1b[31mb\\r\\u202e\\ud800é"
    assert shown("x" * 1000, 100) == "x" * 50 + " … " + "x" * 50
