"""The command line when all goes well: what is written, what is printed where, and what is the same twice."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import reports
from attacks import ATTACKS, BARE, SUITE
from perturbations import PERTURBATIONS
from tests.microbench.small_run import SETTINGS, Shell, contents, finish, start, train_arguments, write_policy

RUN = "hopper_tiny-micro-quick-s0"
ATTACK = ("attack", "--eps", "0.1", "--episodes", "3", "--workers", "1", "--runs")


def rows(runs: Path) -> pd.DataFrame:
    return reports.read(runs / RUN / "results.csv")


def test_training_fills_a_folder(runs: Path, hopper_file: Path) -> None:
    assert sorted(contents(runs / RUN)) == [
        *("config.json", "dynamics.safetensors", "log.csv", "policy.safetensors", "resume.pt", "train.json"),
    ]
    config = json.loads((runs / RUN / "config.json").read_text())
    assert (config["dataset"], config["env_id"], config["seed"]) == ("hopper_tiny", "Hopper-v4", 0)
    assert config["config"].items() >= {**SETTINGS, "epochs": 3}.items()
    log = pd.read_csv(runs / RUN / "log.csv")
    assert log["updates"].tolist() == [10, 20, 30]
    assert log["score"].notna().tolist() == [False, True, True]  # every second epoch and the last
    assert (runs / "latest").resolve() == (runs / RUN).resolve()
    command = json.loads((runs / RUN / "train.json").read_text())["command"]
    assert command == ["microbench", *train_arguments(hopper_file, Path(command[5])), "--quiet"]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(runs: Path, hopper_file: Path, shell: Shell) -> None:
    for seed in (0, 1):
        result = shell(*train_arguments(hopper_file, Path("again")), "--seed", seed)
        assert result.code == 0
        policy = Path(f"again/hopper_tiny-micro-quick-s{seed}/policy.safetensors")
        assert f"policy: {policy}" in result.out
        assert (policy.read_bytes() == (runs / RUN / policy.name).read_bytes()) == (seed == 0)


@pytest.mark.parametrize(("steps", "updates"), [(5, [5]), (25, [10, 20, 30])])
def test_steps_are_updates_in_whole_epochs(steps: int, updates: list[int], hopper_file: Path, shell: Shell) -> None:
    assert shell(*train_arguments(hopper_file, Path("some"), steps=steps)).code == 0
    assert pd.read_csv(f"some/{RUN}/log.csv")["updates"].tolist() == updates


def test_bare_attack_tries_the_usual_attacks_on_the_newest_run(runs: Path, shell: Shell) -> None:
    result = shell(*ATTACK, runs)
    assert result.code == 0
    table = rows(runs)
    tried = {*BARE, *SUITE} - {"v-min"}  # our policies have no V(s)
    assert table.groupby("attack").size().to_dict() == dict.fromkeys([*tried, "worst"], 3) | {"none": 6}
    assert "| worst " in result.out
    for name in ("table.md", "table.csv", "degradation_eps.png"):
        assert f"{name}: {runs / RUN / 'report' / name}" in result.out
        assert (runs / RUN / "report" / name).is_file()


def test_bare_perturb_sweeps_mass_and_friction(runs: Path, shell: Shell) -> None:
    assert shell("perturb", "--episodes", 2, "--workers", 1, "--runs", runs).code == 0
    measured = rows(runs).groupby("perturbation")["factor"].unique()
    assert {name: list(factors) for name, factors in measured.items()} == {
        "none": [1.0],
        "mass": [0.5, 0.75, 1.0, 1.25, 1.5],
        "friction": [0.5, 0.75, 1.0, 1.25, 1.5],
    }
    same = rows(runs).query("factor == 1").groupby("perturbation")["return"].apply(list)
    assert same["mass"] == same["friction"] == same["none"]


def test_sweeps_of_one_perturbation_add_up(runs: Path, shell: Shell) -> None:
    sweeps = ("--mass", "0.5", "--perturbation", "mass=0.8,0.9", "--perturbation", "gravity=1.1:1.2:2")
    assert shell("perturb", *sweeps, "--episodes", 1, "--workers", 1, "--runs", runs).code == 0
    measured = rows(runs)[["perturbation", "factor"]].to_records(index=False).tolist()
    assert measured == [("none", 1.0), ("mass", 0.5), ("mass", 0.8), ("mass", 0.9), ("gravity", 1.1), ("gravity", 1.2)]


def test_a_grid_combines_all_factors_and_is_shown_as_one(runs: Path, shell: Shell) -> None:
    grid = ("--perturbation", "friction=0.6,1.4", "--perturbation", "gravity=0.8,1,1.2", "--grid")
    result = shell("perturb", *grid, "--episodes", 2, "--workers", 1, "--runs", runs)
    assert result.code == 0
    measured = rows(runs).drop_duplicates(["perturbation", "factor"])[["perturbation", "factor"]]
    assert measured.to_records(index=False).tolist() == [
        ("none", 1.0),
        *(("friction=0.6,gravity", factor) for factor in (0.8, 1.0, 1.2)),
        *(("friction=1.4,gravity", factor) for factor in (0.8, 1.0, 1.2)),
    ]
    assert (runs / RUN / "report" / "heatmap_friction_gravity.png").is_file()
    output = json.loads((runs / RUN / "results.json").read_text())["runs"][0]["effects"]
    assert [(one["perturbation"], one["factor"]) for one in output] == measured.to_records(index=False).tolist()[1:]
    assert set(output[1]["physics"]) == {"contact_friction"}
    assert set(output[0]["physics"]) == {"contact_friction", "opt.gravity"}


def test_points_are_drawn_from_ranges_and_attacked(runs: Path, shell: Shell) -> None:
    ranges = ("--mass", "0.8:1.2", "--perturbation", "latency=0:2", "--samples", 3)
    assert shell("perturb", *ranges, "--episodes", 1, "--workers", 1, "--runs", runs).code == 2  # half a step late
    box = ("--mass", "0.8:1.2", "--friction", "0.5:1.5", "--samples", 3, "--attack", "random", "--eps", 0.1)
    assert shell("perturb", *box, "--episodes", 1, "--workers", 1, "--runs", runs).code == 0
    measured = rows(runs)
    assert measured["attack"].tolist() == ["none"] * 4 + ["random"] * 4
    assert measured["perturbation"].tolist()[:4] == measured["perturbation"].tolist()[4:]
    assert measured["perturbation"].nunique() == 4
    masses = [float(text.split("=")[1].split(",")[0]) for text in measured["perturbation"][1:4]]
    assert all(0.8 <= mass <= 1.2 for mass in masses)


def test_bare_samples_are_drawn_from_mass_and_friction(runs: Path, shell: Shell) -> None:
    assert shell("perturb", "--samples", 2, "--episodes", 1, "--workers", 1, "--runs", runs).code == 0
    drawn = rows(runs)["perturbation"].tolist()[1:]
    assert len(drawn) == 2
    assert all(text.startswith("mass=") and text.endswith(",friction") for text in drawn)


def test_json_is_all_there_is_on_stdout_and_complete(runs: Path, shell: Shell) -> None:
    result = shell(*ATTACK, runs, "--attack", "random", "--eps", "0.3", "--json")
    output = json.loads(result.out)
    assert [(cell["attack"], cell["eps"], cell["n"]) for cell in output["cells"]] == [
        ("none", 0, 3),
        ("random", 0.1, 3),
        ("random", 0.3, 3),
    ]
    assert output["cells"][0]["mean"] == pytest.approx(rows(runs).query("attack == 'none'")["score"].mean())
    assert Path(output["files"]["results.csv"]) == runs / RUN / "results.csv"
    assert all(Path(path).is_file() for path in output["files"].values())
    assert "episodes: 9/9" in result.err
    silent = shell(*ATTACK, runs, "--attack", "random", "--json", "--quiet")
    assert json.loads(silent.out)["cells"]
    assert silent.err == ""


def test_quiet_prints_nothing(runs: Path, hopper_file: Path, shell: Shell) -> None:
    for arguments in (
        [*ATTACK, runs, "--attack", "random"],
        ["perturb", "--mass", "0.5", "--episodes", 1, "--workers", 1, "--runs", runs],
        [*train_arguments(hopper_file, Path("quiet"), steps=10)],
        ["collect", "--out", "c.hdf5", "--env", "InvertedPendulum-v4", "--steps", 50, "--evaluate-every", 50],
    ):
        result = shell(*arguments, "--quiet")
        assert (result.code, result.out, result.err) == (0, "", "")


def test_progress_goes_to_stderr_only(runs: Path, hopper_file: Path, shell: Shell) -> None:
    result = shell(*train_arguments(hopper_file, Path("loud")))
    assert "normalized score" in result.err
    assert result.out.splitlines() == [f"policy: loud/{RUN}/policy.safetensors", f"log:    loud/{RUN}/log.csv"]
    result = shell(*ATTACK, runs, "--attack", "random")
    assert result.err == "episodes: 6/6, about 0 s left\n"
    assert "episodes:" not in result.out


@pytest.mark.usefixtures("workers_here")
def test_repeating_a_command_repeats_the_files(runs: Path, drawing_shell: Shell) -> None:
    """Measured again, resumed, or made by two workers: the same table, byte for byte, and nothing doubled."""
    shell = drawing_shell
    shell(*ATTACK, runs, "--attack", "random")
    first = contents(runs / RUN)
    for more in ([], ["--resume"], ["--workers", "2"]):
        assert shell(*ATTACK, runs, "--attack", "random", *more).code == 0
        again = contents(runs / RUN)
        for name in ("results.csv", "report/table.csv", "report/degradation_eps.svg"):
            assert again[name] == first[name], (name, more)


def test_resume_runs_only_what_is_missing(runs: Path, shell: Shell) -> None:
    shell(*ATTACK, runs, "--attack", "random", "--attack", "fgsm")
    path = runs / RUN / "results.csv"
    whole = path.read_bytes()
    lines = whole.decode().splitlines(keepends=True)
    first = lines[1].rstrip("\n").split(",")
    first[lines[0].rstrip("\n").split(",").index("return")] = "1.5"  # that only a new run would mend
    lines[1] = ",".join(first) + "\n"
    path.write_text("".join([*lines[:5], *lines[7:]]))
    result = shell(*ATTACK, runs, "--attack", "random", "--attack", "fgsm", "--resume")
    assert result.err.splitlines()[1].startswith("episodes: 2/2")
    assert sorted(path.read_text().splitlines()) == sorted("".join(lines).splitlines())
    again = shell(*ATTACK, runs, "--attack", "random", "--attack", "fgsm")
    assert again.err.splitlines()[1].startswith("episodes: 9/9")
    assert path.read_bytes() == whole


def test_other_rows_of_the_table_stay(runs: Path, shell: Shell) -> None:
    shell(*ATTACK, runs, "--attack", "random", "--seed", 100)
    before = rows(runs)
    shell(*ATTACK, runs, "--attack", "fgsm")
    after = rows(runs)
    pd.testing.assert_frame_equal(after.iloc[: len(before)], before, check_exact=True)
    assert len(after) == len(before) + 6


def test_the_json_beside_the_table_says_how_its_rows_were_made(runs: Path, shell: Shell) -> None:
    shell(*ATTACK, runs, "--attack", "random")
    shell(*ATTACK, runs, "--attack", "fgsm", "--unit", "raw")
    output = json.loads((runs / RUN / "results.json").read_text())["runs"]
    assert [run["command"] for run in output] == [
        ["microbench", *ATTACK, str(runs), "--attack", "random"],
        ["microbench", *ATTACK, str(runs), "--attack", "fgsm", "--unit", "raw"],
    ]
    assert [run["conditions"]["unit"] for run in output] == ["dataset-std", "raw"]
    assert output[0]["checkpoint"] == rows(runs)["checkpoint"].iloc[0]
    assert {"torch", "mujoco", "gymnasium", "microbench", "python"} <= output[0]["versions"].keys()
    assert "/somewhere/bin" not in (runs / RUN / "report" / "table.md").read_text()


def test_results_go_where_out_says(runs: Path, shell: Shell) -> None:
    write_policy(Path("elsewhere.safetensors"))
    few = ("--episodes", 1, "--workers", 1)
    before = contents(runs)
    assert shell("attack", "elsewhere.safetensors", "--eps", "0.1", *few, "--out", "a/b").code == 0
    assert contents(runs) == before
    assert Path("a/b/results.csv").is_file()
    assert Path("a/b/report/table.md").is_file()


def test_an_attack_and_a_perturbation_from_the_current_folder(runs: Path, shell: Shell) -> None:
    """As module:name; workers get the search path of the process that starts them."""
    Path("mine_of_test_cli.py").write_text(
        "import perturbations\n"
        "def far(target, obs, threat, noise):\n    return obs + 100\n"
        "def lighter(factor):\n    return perturbations.mass(1 / factor)\n"
    )
    assert shell(*ATTACK, runs, "--attack", "mine_of_test_cli:far", "--attack", "random").code == 0
    assert set(rows(runs)["attack"]) == {"none", "mine_of_test_cli:far", "random"}
    sweep = ("--perturbation", "mine_of_test_cli:lighter=2", "--mass", "0.5")
    assert shell("perturb", *sweep, "--episodes", 2, "--workers", 1, "--runs", runs).code == 0
    measured = rows(runs)
    own = measured.query("perturbation == 'mine_of_test_cli:lighter'")["return"].tolist()
    assert own == measured.query("perturbation == 'mass'")["return"].tolist()


def test_a_report_of_several_runs(shell: Shell) -> None:
    for seed in (0, 1):
        Path(f"seed{seed}").mkdir()
        write_policy(Path(f"seed{seed}/policy.safetensors"), seed=seed)
        shell("attack", f"seed{seed}", *ATTACK[1:], "nowhere", "--attack", "random")
    result = shell("report", "seed0", "seed1/results.csv", "--out", "both")
    assert result.code == 0
    assert "2 training runs" in result.out
    assert Path("both/table.md").is_file()


def test_lists_name_everything(shell: Shell) -> None:
    output = shell("list").out
    assert all(name in output for name in (*ATTACKS, *PERTURBATIONS, "micro", "sac", "Hopper-v4"))
    assert "microbench/hopper-medium-replay-v0: Hopper-v4" in shell("datasets").out


def test_bare_microbench_is_help(shell: Shell) -> None:
    result = shell()
    assert result.code == 0
    assert result.out == shell("--help").out
    assert "attack" in result.out


def test_importing_the_command_line_does_nothing(tmp_path: Path) -> None:
    """No look at sys.argv, no environment, no file; `python -m` guards its call, so workers may import it."""
    code = (
        "import sys, os; sys.argv = ['x', '--eps', 'nonsense']; before = list(sys.argv)\n"
        "import microbench.cli, microbench.__main__\n"
        "import microbench.commands.evaluate, microbench.commands.train, microbench.commands.collect\n"
        "import gymnasium; made = []\n"
        "assert sys.argv == before\n"
        "assert not [m for m in sys.modules if m.startswith('gymnasium.envs.mujoco.')]\n"
        "assert os.listdir() == []"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes of this kind")
def test_a_reader_that_leaves_early_causes_no_traceback(tmp_path: Path) -> None:
    process = start("list", cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    _, output = process.communicate(timeout=60)
    assert output == ""


def test_python_m_runs_it(tmp_path: Path) -> None:
    assert finish(start("datasets", cwd=tmp_path)).out.startswith("microbench/hopper")
