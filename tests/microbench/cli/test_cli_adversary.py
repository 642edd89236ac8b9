"""`microbench adversary` from the command line: train, use, resume, refuse."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch

import reports
from attacks import Noise, Threat
from microbench import checkpoints
from microbench.adversaries import tries
from microbench.adversaries.files import Files
from microbench.adversaries.loading import load_adversary
from microbench.adversaries.ppo import Settings
from microbench.commands import adversary as command
from microbench.seeds import ADVERSARY_CHOICE
from tests.microbench.checkpoints import foreign_files as files
from tests.microbench.small_run import Shell, write_policy

pytestmark = pytest.mark.usefixtures("no_report")  # nothing here is about tables and plots

TINY = Settings(rows=8, horizon=16, epochs=2, minibatch=64, hidden=(8, 8))


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "VARIANTS", (TINY, Settings(**{**vars(TINY), "lr": 3e-4})))


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    write_policy(tmp_path / "policy.safetensors")
    return tmp_path / "policy.safetensors"


def line(policy: Path, *more: object, steps: int = 500) -> tuple[object, ...]:
    return ("adversary", policy, "--eps", "0.3", "--steps", steps, "--out", "a.safetensors", *more)


def test_what_it_prints_is_what_attack_then_measures(policy: Path, shell: Shell) -> None:
    result = shell(*line(policy))
    assert result.code == 0, result.err
    output = dict(row.split(maxsplit=1) for row in result.out.splitlines())
    assert result.err.startswith("steps: 512/512")
    again = shell(*output["use"].removeprefix("it:").split()[1:], "--out", "r", "--workers", 1)
    assert again.code == 0, again.err
    means = reports.read(Path("r/results.csv")).groupby("attack")["score"].mean()
    assert f"score {means['none']:.1f} [" in output["clean:"]
    assert f"score {means['adversary:a.safetensors']:.1f} [" in output["attacked:"]
    assert means["none"] != means["adversary:a.safetensors"]
    with Path("a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["try"], row["steps"]) for row in rows] == [("0", str(128 * k)) for k in range(1, 5)]
    assert not list(Path().glob("*.pt"))


@pytest.mark.parametrize("method", ["evolved", "constant"])
def test_an_evolved_adversary_is_measured_again_and_its_costs_are_told(method: str, policy: Path, shell: Shell) -> None:
    result = shell(*line(policy, "--method", method, steps=4000))
    assert result.code == 0, result.err
    output = dict(row.split(maxsplit=1) for row in result.out.splitlines())
    again = shell(*output["use"].removeprefix("it:").split()[1:], "--out", "r", "--workers", 1)
    assert again.code == 0, again.err
    means = reports.read(Path("r/results.csv")).groupby("attack")["score"].mean()
    assert f"score {means['none']:.1f} [" in output["clean:"]
    assert f"score {means['adversary:a.safetensors']:.1f} [" in output["attacked:"]
    with Path("a.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    assert f"{int(last['steps']):,} environment steps, {int(last['episodes']):,} episodes" in output["search:"]
    assert float(output["chosen"].split()[2].rstrip(",")) == pytest.approx(
        float(last["best"]), rel=0.02
    )  # other roundings
    assert (method == "constant") is ("thigh_joint.velocity" in output)


def test_the_table_of_the_constant_one_is_what_it_adds(policy: Path, shell: Shell) -> None:
    more = ("--method", "constant", "--sensors", "positions+thigh_joint.velocity", "--norm", "l2")
    result = shell(*line(policy, *more, steps=4000))
    assert result.code == 0, result.err
    rows = [row.split() for row in result.out.splitlines()]
    table = {row[0]: (float(row[1]), float(row[2])) for row in rows[rows.index(_head()) + 1 : -1]}
    attack, target = load_adversary(Path("a.safetensors")), checkpoints.load(policy).target
    scale = target.scale("dataset-std")
    open_scale = scale.clone()
    open_scale[[0, 1, 2, 3, 4, 8]] *= -1
    threat = Threat(eps=0.3, scale=torch.where(open_scale < 0, scale, 0), unit="dataset-std", norm="l2")
    obs = torch.zeros(1, 11)
    push = threat.project(obs, attack(target, obs, threat, Noise.from_seeds([0])))[0]
    assert [raw for raw, _ in table.values()] == pytest.approx(push.tolist(), rel=1e-4, abs=1e-6)
    assert [unit for _, unit in table.values()] == pytest.approx((push / scale).tolist(), rel=1e-3, abs=1e-4)
    assert [name for name, (raw, _) in table.items() if raw == 0] == [
        f"{name}.velocity" for name in ("rootx", "rootz", "rooty", "leg_joint", "foot_joint")
    ]


def _head() -> list[str]:
    return ["sensor", "offset", "dataset-std"]


def test_within_the_range_of_the_data(policy: Path, shell: Shell) -> None:
    assert shell(*line(policy, "--method", "evolved", "--in-range", steps=3000), "--quiet").code == 0
    attack = ("--attack", "adversary:a.safetensors", "--episodes", 2, "--workers", 1, "--out", "r", "--in-range")
    assert shell("attack", policy, "--eps", "0.1", *attack).code == 0


def test_another_budget_scales_it_and_another_unit_or_policy_is_refused(
    policy: Path, shell: Shell, tmp_path: Path
) -> None:
    assert shell(*line(policy), "--quiet").out == ""
    attack = ("--attack", "adversary:a.safetensors", "--episodes", 2, "--workers", 1, "--out", "r")
    assert shell("attack", policy, "--eps", "0.1", *attack).code == 0
    for more, words in (
        (("--unit", "raw"), "--unit dataset-std --norm linf"),
        (("--norm", "l2"), "--unit dataset-std --norm linf"),
    ):
        refused = shell("attack", policy, "--eps", "0.1", *attack, *more)
        assert refused.is_one_sentence
        assert words in refused.err
    write_policy(tmp_path / "other.safetensors", seed=1)
    refused = shell("attack", "other.safetensors", "--eps", "0.1", *attack)
    assert refused.is_one_sentence
    assert "trained against another policy" in refused.err


@pytest.mark.parametrize(
    "more",
    [("--method", "pa-ad"), ("--norm", "l2"), ("--tries", "2"), ("--method", "evolved"), ("--method", "constant")],
    ids=lambda more: more[1],
)
def test_an_interrupted_training_goes_on_to_the_same_files(
    policy: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    more = (*more, "--steps", "4000") if more[1] in ("evolved", "constant") else more
    assert shell(*line(policy, *more)).code == 0
    straight = _files()
    monkeypatch.setattr(command, "STORE_EVERY", -1.0)
    for name in ("a.safetensors", "a.csv"):
        Path(name).unlink()
    _interrupt_after(monkeypatch, 6 if "2" in more else 3)
    cut = shell(*line(policy, *more))
    assert (cut.code, Path("a.resume.pt").exists(), Path("a.safetensors").exists()) == (130, True, False)
    assert "go on with --resume" in cut.err
    refused = shell(*line(policy, *more))
    assert refused.is_one_sentence
    assert "add --resume" in refused.err
    other = shell(*line(policy, *more, "--seed", 1), "--resume")
    assert other.is_one_sentence
    assert "seed 0 instead of 1" in other.err
    assert shell(*line(policy, *more), "--resume").code == 0
    assert _files() == straight
    assert not Path("a.resume.pt").exists()


def _files() -> tuple[bytes, list[dict[str, str]]]:
    """The adversary and its curve; how many seconds it took is never the same."""
    with Path("a.csv").open() as file:
        rows = [{name: text for name, text in row.items() if name != "seconds"} for row in csv.DictReader(file)]
    return Path("a.safetensors").read_bytes(), rows


def _interrupt_after(monkeypatch: pytest.MonkeyPatch, stored: int) -> None:
    """^C right after the state was stored so many times."""
    store, count = Files.store, [0]

    def counted(*arguments: Any) -> None:
        store(*arguments)
        count[0] += 1
        if count[0] == stored:
            raise KeyboardInterrupt

    monkeypatch.setattr(Files, "store", counted)


def test_of_several_tries_the_strongest_is_kept(policy: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = iter([30.0, 10.0, 20.0])
    real = command._returns

    def returns(opponent: Any, attack: Any, episodes: int, seed: int) -> Any:
        measured = real(opponent, attack, 2, seed)
        return measured * 0 + next(judged) if seed >= ADVERSARY_CHOICE.start else measured

    monkeypatch.setattr(command, "_returns", returns)
    assert shell(*line(policy, "--tries", 3, steps=100), "--quiet").code == 0
    attack = load_adversary(Path("a.safetensors"))
    assert attack.stored.origin.seed == 1  # type: ignore[union-attr]  # it is ours
    assert attack.stored.settings.lr == 3e-4  # type: ignore[union-attr]
    assert {row[0] for row in Path("a.csv").read_text().splitlines()} == {"t", "0", "1", "2"}


@pytest.mark.parametrize("method", ["sa-rl", "evolved"])
def test_a_recurrent_policy_of_others_is_served(method: str, shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "lstm.model").write_bytes(files.sa_ppo(recurrent=True))
    result = shell("adversary", "lstm.model", "--eps", "0.2", "--steps", 200, "--method", method)
    assert result.code == 0, result.err
    assert f"{method}-0.2-s0.safetensors" in result.out
    command = result.out.splitlines()[-1].removeprefix("use it:").split()
    assert shell(*command[1:], "--workers", 1, "--quiet").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--eps", "0"), "--eps 0.0 is no budget"),
        (("--eps", "0.1", "--method", "sa-lr"), "sa-rl"),
        (("--eps", "0.1", "--norm", "l3"), "l2"),
        (("--eps", "0.1", "--unit", "policy-norm"), "dataset-std"),
        (("--eps", "0.1", "--steps", "0"), "--steps"),
        (("--eps", "0.1", "--sensors", "positions"), "choose evolved or constant"),
        (("--eps", "0.1", "--method", "constant", "--sensors", "knee"), "there is no sensor"),
        (("--eps", "0.1", "--resume", "--force"), "--resume continues a training and --force starts it over"),
        (("--eps", "0.1", "--env", "Walker2d-v4"), "Walker2d-v4"),
    ],
)
def test_mistakes_are_told_in_a_sentence(policy: Path, shell: Shell, arguments: tuple[str, ...], words: str) -> None:
    result = shell("adversary", policy, *arguments)
    assert result.is_one_sentence
    assert words in result.err


def test_a_finished_adversary_is_not_overwritten_and_a_damaged_state_is_told(policy: Path, shell: Shell) -> None:
    assert shell(*line(policy, steps=100), "--quiet").code == 0
    for more in ((), ("--resume",)):
        refused = shell(*line(policy, *more, steps=100))
        assert refused.is_one_sentence
        assert "a finished adversary" in refused.err
    assert shell(*line(policy, "--force", steps=100), "--quiet").code == 0
    assert not Path("a.resume.pt").exists()
    Path("a.safetensors").unlink()
    Path("a.resume.pt").write_bytes(b"PK nonsense")
    refused = shell(*line(policy, "--resume", steps=100))
    assert refused.is_one_sentence
    assert "is damaged" in refused.err
