"""Foreign policies on the command line: inspected, attacked, probed, claimed; and code only when it is named."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.checkpoints.foreign_files import write
from tests.microbench.checkpoints.foreign_table import FILES
from tests.microbench.small_run import Said, Shell

FEW = ("--episodes", "2", "--workers", "1")


pytestmark = pytest.mark.usefixtures("no_report")  # nothing here is about tables and plots


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rows(runs: Path = Path("runs")) -> pd.DataFrame:
    (path,) = runs.rglob("results.csv")
    return pd.read_csv(path, keep_default_na=False)


def test_inspect_says_what_was_inferred_and_what_can_attack(here: Path, shell: Shell) -> None:
    write(here / "p.model", FILES["sa-ppo.model"]())
    output = json.loads(shell("inspect", "p.model", "--json").out)
    assert (output["family"], output["task"], output["layers"]) == ("sa-ppo", "Hopper-v4", [11, 8, 8, 3])
    assert (output["gradients"], output["critic"], output["distribution"], output["memory"]) == (True, False, True, 0)
    assert output["attacks"]["pgd"] == "yes"
    assert "needs a critic" in output["attacks"]["min-q"]
    assert list(output["units"]) == ["raw", "policy-norm"]
    plain = shell("inspect", "p.model").out
    for line in (
        "family: sa-ppo",
        "layers: 11 → 8 → 8 → 3",
        "  task: Hopper-v4: the file names Hopper",
        "units: raw, policy-norm",
    ):
        assert line in plain.splitlines()


def test_inspect_does_not_need_the_task(here: Path, shell: Shell) -> None:
    write(here / "p", files.torch_bytes(files.mlp(obs=17, actions=6, names=("l1", "l2", "l3"))))
    output = json.loads(shell("inspect", "p", "--json").out)
    assert "task" not in output
    assert "say with --env" in output["inferred"]["task"]
    assert shell("attack", "p", "--eps", "0.1").is_one_sentence


def test_a_policy_of_others_is_attacked_in_its_own_unit(here: Path, shell: Shell) -> None:
    write(here / "p.model", FILES["sa-ppo.model"]())
    result = shell("attack", "p.model", "--eps", "0.1", *FEW)
    assert result.code == 0, result.err
    assert "min-q is left out: it needs a critic" in result.err
    measured = rows()
    assert set(measured["attack"]) == {
        *("none", "random", "fgsm", "pgd", "pgd-restarts", "action-kl", "v-min", "worst"),
    }
    assert result.err.count("action-diff is the same search as pgd for this policy, which has no critic") == 1
    assert set(measured["unit"]) == {"", "policy-norm"}  # nothing is measured in clean episodes
    assert next(Path("runs").iterdir()).name.startswith("p-")
    refused = shell("attack", "p.model", "--eps", "0.1", "--attack", "min-q", *FEW)
    assert refused.is_one_sentence
    assert "min-q cannot attack p.model: it needs a critic" in refused.err


@pytest.mark.usefixtures("workers_here")
@pytest.mark.parametrize("name", ["lstm.model", "sb3-td3.zip"])
def test_workers_and_chunks_do_not_change_a_foreign_policys_rows(here: Path, shell: Shell, name: str) -> None:
    write(here / name, FILES[name]())
    common = ("attack", name, "--eps", "0.2", "--unit", "raw", "--attack", "action-diff", "--episodes", "12")
    assert shell(*common, "--workers", 1, "--out", "one").code == 0
    assert shell(*common, "--workers", 2, "--out", "two").code == 0
    pd.testing.assert_frame_equal(rows(Path("one")), rows(Path("two")), check_exact=True)
    assert rows(Path("one"))["return"].nunique() > 12  # the attack changes what it can


def test_an_adversary_attacks_the_policy_in_its_own_file(here: Path, shell: Shell) -> None:
    write(here / "a.model", FILES["atla.model"]())
    attack = ("--attack", "adversary:a.model")
    assert shell("attack", "a.model", "--eps", "0.3", *attack, *FEW).code == 0
    measured = rows().set_index("attack")["return"]
    assert (measured["adversary:a.model"].to_numpy() != measured["none"].to_numpy()).all()
    output = shell("attack", "a.model", "--eps", "0.3", *attack, "--unit", "raw", "--quiet", *FEW)
    assert output.is_one_sentence
    assert "--unit policy-norm" in output.err
    assert shell("attack", "a.model", "--eps", "0.3", "--attack", "adversary:nowhere", *FEW).is_one_sentence


def test_a_claim_that_is_not_met_is_flagged_and_one_that_is_met_is_not(here: Path, shell: Shell) -> None:
    write(here / "p.model", FILES["sa-ppo.model"]())
    line = ("attack", "p.model", "--eps", "0.1", "--attack", "random", *FEW)
    assert shell(*line, "--claim", "3500").code == 0
    measured = rows()
    assert measured.loc[measured["attack"] == "none", "flags"].tolist() == ["clean-mismatch"] * 2
    assert measured.loc[measured["attack"] != "none", "flags"].tolist() == [""] * 2
    earned = measured.loc[measured["attack"] == "none", "return"].mean()
    assert shell(*line, "--claim", f"{earned:.1f}").code == 0
    assert rows()["flags"].tolist() == [""] * 4


def test_a_policy_worse_than_random_is_told_with_what_was_assumed(here: Path, shell: Shell) -> None:
    tensors = {name: 0 * value for name, value in files.mlp(obs=17, actions=6, names=("l1", "l2", "l3")).items()}
    tensors["l3.bias"] += torch.tensor([3.0, -3.0, 3.0, -3.0, 3.0, -3.0])  # full force all the time
    write(here / "p.pth", files.torch_bytes(tensors))
    result = shell(
        "attack", "p.pth", "--eps", "0", "--env", "HalfCheetah-v4", "--unit", "raw", "--attack", "random", *FEW
    )
    assert result.code == 0
    assert "a random policy -280" in result.err
    assert "it was probably read wrongly (" in result.err
    assert "activation relu: usual for this family" in result.err


def test_code_runs_only_when_it_is_named(here: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "mine.py").write_text(
        "import torch\nfrom attacks import Target\n"
        "def policy():\n"
        "    return Target(policy=lambda obs: torch.tanh(2 * obs[:, :3]), obs_scale={'raw': torch.ones(11)})\n"
    )
    monkeypatch.syspath_prepend(here)
    line = ("attack", "mine:policy", "--eps", "0.1", "--unit", "raw", "--attack", "random", *FEW)
    output = shell(*line)
    assert output.is_one_sentence
    assert "give --env" in output.err
    result: Said = shell(*line, "--env", "Hopper-v4")
    assert result.code == 0, result.err
    assert set(rows()["algorithm"]) == {"mine:policy"}
    for wrong in ("mine:nothing", "nowhere:policy", "mine:torch"):
        assert shell("attack", wrong, *line[2:], "--env", "Hopper-v4").is_one_sentence


def test_a_function_alone_is_a_policy(here: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    (here / "plain.py").write_text(
        "import numpy as np\nfrom attacks import Target\n"
        "def policy():\n"
        "    return Target(policy=lambda obs: np.tanh(2 * obs.numpy()[:, :3]))\n"
    )
    monkeypatch.syspath_prepend(here)
    result = shell("attack", "plain:policy", "--eps", "0.1", "--env", "Hopper-v4", *FEW)
    assert result.code == 0, result.err
    assert "pgd is left out: it needs gradients" in result.err
    assert set(rows()["attack"]) == {"none", "random", "worst"}
    assert set(rows()["unit"]) == {"", "rollout-std"}  # nothing is measured in clean episodes


def test_statistics_that_are_given_are_the_unit(here: Path, shell: Shell) -> None:
    write(here / "p.pth", FILES["td3.pth"]())
    (here / "s.json").write_text(json.dumps({"mean": [0.0] * 11, "std": [0.5] * 11}))
    common = ("--attack", "random", "--obs-stats", "s.json", *FEW)
    assert shell("attack", "p.pth", "--eps", "0.1", *common).code == 0
    assert set(rows()["unit"]) == {"", "dataset-std"}  # nothing is measured in clean episodes


@pytest.mark.parametrize(
    "command",
    [
        ("attack", "--unit", "raw", "--eps", "0.1", "--attack", "random"),
        ("perturb", "--unit", "raw", "--mass", "0.9"),
        ("render", "--unit", "raw", "--eps", "0.1", "--attack", "random"),
        ("critic",),
        ("adversary", "--unit", "raw", "--eps", "0.1"),
        ("inspect",),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.parametrize(("actions", "shown"), [(1, "gives 1 actions"), (2, "gives 2 actions")])
def test_as_many_actions_as_the_task_has_are_asked_for_before_any_episode(
    here: Path, shell: Shell, command: tuple[str, ...], actions: int, shown: str
) -> None:
    write(here / "p.pth", files.torch_bytes(files.mlp(actions=actions, names=("l1", "l2", "l3"))))
    refused = shell(command[0], "p.pth", "--env", "Hopper-v4", *command[1:])
    assert refused.is_one_sentence
    assert f"{shown} for one observation, Hopper-v4 takes 3; give --env" in refused.err
    assert not list(here.rglob("*.csv"))


def test_what_was_chosen_for_a_file_is_said_when_it_is_evaluated(here: Path, shell: Shell) -> None:
    write(here / "p.pth", files.torch_bytes({"model_state_dict": files.mlp(names=("l1", "l2", "l3"))}))
    ran = shell("attack", "p.pth", "--unit", "raw", "--eps", "0.1", "--attack", "random", *FEW)
    assert ran.code == 0, ran.err
    assert "p.pth: task Hopper-v4: by its sizes" in ran.err
    assert "p.pth: container the network in 'model_state_dict' is read" in ran.err
    quiet = shell("attack", "p.pth", "--unit", "raw", "--eps", "0.1", "--attack", "random", "--quiet", *FEW)
    assert "by its sizes" not in quiet.err


def test_a_stack_of_frames_is_called_so(here: Path, shell: Shell) -> None:
    write(here / "p.pth", files.torch_bytes(files.mlp(obs=4 * 11, names=("l1", "l2", "l3"))))
    refused = shell("inspect", "p.pth", "--env", "Hopper-v4")
    assert refused.is_one_sentence
    assert "4 × the 11 of Hopper-v4: a stack of 4 frames" in refused.err
