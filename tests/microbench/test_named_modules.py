"""Nothing of the working directory runs unless the user names it as module:name."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from microbench.named_modules import in_use, named_in, use
from tests.microbench.small_run import Shell, write_policy

OPTIONAL = ("tqdm", "opt_einsum", "pyarrow", "bottleneck", "numexpr", "IPython", "dill", "psutil", "lz4", "jax")
FEW = ("--episodes", "2", "--eps", "0.1", "--unit", "raw", "--env", "Hopper-v4")
TARGET = (
    "import torch\nfrom attacks import Target\n"
    "def policy():\n"
    "    return Target(policy=lambda obs: torch.tanh({}(obs[:, :3])), obs_scale={{'raw': torch.ones(11)}})\n"
)


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A downloaded folder: a policy, and modules under the names of optional packages that leave a canary."""
    folder = tmp_path / "downloaded"
    folder.mkdir()
    write_policy(folder / "policy.safetensors")
    for name in OPTIONAL:
        (folder / f"{name}.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'canary')!r})\n")
    return folder


def test_no_module_of_the_folder_runs(traps: Path) -> None:
    line = ["attack", "policy.safetensors", "--attack", "random", *FEW, "--workers", "2"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    ran = subprocess.run(
        [sys.executable, "-m", "microbench", *line], cwd=traps, env=environment, capture_output=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert not (traps.parent / "canary").exists()


def test_the_working_directory_is_on_no_path(shell: Shell, tmp_path: Path) -> None:
    sys.path.insert(0, "")
    assert shell("datasets").code == 0
    assert not {"", str(tmp_path)} & set(sys.path)
    assert os.environ["PYTHONSAFEPATH"] == "1"


def test_a_named_module_and_what_it_imports_from_beside_it(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "named_here.py").write_text("from beside_named import twice\n" + TARGET.format("twice"))
    (tmp_path / "beside_named.py").write_text("def twice(x):\n    return 2 * x\n")
    (tmp_path / "package_here").mkdir()
    (tmp_path / "package_here" / "__init__.py").touch()
    (tmp_path / "package_here" / "inner.py").write_text("from .more import half\n" + TARGET.format("half"))
    (tmp_path / "package_here" / "more.py").write_text("def half(x):\n    return x / 2\n")
    for name, workers in (("named_here:policy", 2), ("package_here.inner:policy", 1)):
        ended = shell("attack", name, "--attack", "random", *FEW, "--workers", workers)
        assert ended.code == 0, ended.err


def test_a_module_that_nobody_named_is_not_found(tmp_path: Path) -> None:
    for name in ("named_alone", "not_named"):
        (tmp_path / f"{name}.py").write_text("import json\n")
    before = in_use()
    use(str(tmp_path), frozenset({"named_alone"}))
    try:
        assert importlib.import_module("named_alone").json
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("not_named")
    finally:
        use(*before)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["attack", "mine:policy"], {"mine"}),
        (["--attack=my.own:far(steps=5)@2"], {"my"}),
        (["--perturbation", "mass=1.2,other_one:f@a=0.5"], {"other_one"}),
        (["--env", "late:Hopper-v9"], {"late"}),
        (["--attack", "adversary:a.safetensors", "compat:rrls-mass=2"], set()),
        (["--ray", "10.0.0.1:6379", "--mass", "0.5:1.5:3", "a/b:c", "C:\\x"], set()),
    ],
)
def test_names_are_those_before_a_colon(arguments: list[str], names: set[str]) -> None:
    assert named_in(arguments) == names
