"""Videos: what they show is what was measured. Pictures need EGL or OSMesa and are skipped without."""

import math
import re
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from PIL import Image

import reports
from microbench.checkpoints import load_own
from microbench.commands.render import SHAPE, _binary, _pictured
from microbench.errors import UserError
from microbench.evaluation.attacked import Conditions
from microbench.evaluation.chunk import evaluate_chunk
from microbench.evaluation.plan import CLEAN, Cell, Episode
from microbench.rendering.drawing import draw
from microbench.rendering.recording import record
from microbench.rendering.video import BAR, GAP, beside, captioned, check_kind, save
from microbench.simulators.contract import make_simulator, nominal_model
from microbench.tasks import find_task
from tests.microbench.small_run import Shell, write_policy

ATTACKED = Cell(attack="fgsm", eps=0.1, perturbation="mass", factor=1.5)


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_policy(tmp_path_factory.mktemp("policy") / "policy.safetensors").path


@pytest.fixture(scope="module")
def can_draw() -> None:
    """Skip where nothing can be drawn."""
    model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1'/></worldbody></mujoco>")
    try:
        draw(_binary(model), np.zeros((1, 0)), width=16, height=16)
    except UserError as error:
        pytest.skip(str(error))


# ---- the recording


@pytest.mark.parametrize("cell", [CLEAN, ATTACKED], ids=["clean", "attacked"])
def test_a_recording_is_of_the_episode_that_is_measured(policy: Path, cell: Cell) -> None:
    """Bit for bit the row of an evaluation of many episodes, in which it is one row of a batch."""
    checkpoint, conditions = load_own(policy), Conditions(env_id="Hopper-v4")
    rows = evaluate_chunk(checkpoint, conditions, tuple(Episode(cell=cell, number=n, seed=5 + n) for n in range(4)))
    recording = record(checkpoint, conditions, cell, seed=7)
    same = [name for name in rows.columns if name != "episode"]
    assert recording.row[same].to_dict() == rows.iloc[2][same].to_dict()
    assert recording.returns[-1] == rows["return"][2]
    assert recording.length == rows["length"][2] == len(recording.positions) - 1


def test_the_positions_are_those_of_the_simulator(policy: Path) -> None:
    """They start at the reset, and the returns follow from them: Hopper's reward is speed, life and effort."""
    recording = record(load_own(policy), Conditions(env_id="Hopper-v4"), CLEAN, seed=3)
    task = find_task("Hopper-v4")
    simulator = make_simulator(task, [nominal_model(task)])
    simulator.reset([3])
    assert (recording.positions[0] == simulator.positions[0]).all()  # type: ignore[attr-defined]  # both simulators have them
    speed = np.diff(recording.positions[:, 0]) / recording.dt
    rewards = np.diff(recording.returns)
    effort = speed + 1 - rewards  # 1 for every step alive, the effort at most 1e-3 per actuator
    assert ((effort > -1e-9) & (effort < 3e-3 + 1e-9))[:-1].all()
    assert recording.dt == pytest.approx(0.008)


def test_gymnasiums_own_simulator_is_recorded_too(tmp_path: Path) -> None:
    checkpoint = write_policy(tmp_path / "policy.safetensors", "InvertedDoublePendulum-v4")
    recording = record(checkpoint, Conditions(env_id="InvertedDoublePendulum-v4"), CLEAN, seed=0)
    assert recording.positions.shape == (recording.length + 1, 3)
    assert len({tuple(qpos) for qpos in recording.positions}) == recording.length + 1


# ---- the pictures


def test_two_sequences_become_one_and_the_shorter_stands_still() -> None:
    left, right = np.zeros((2, 4, 6, 3), np.uint8), np.full((3, 4, 5, 3), 9, np.uint8)
    left[1] = 7
    both = beside(left, right)
    assert both.shape == (3, 4, 6 + GAP + 5, 3)
    assert both[:, 0, 0, 0].tolist() == [0, 7, 7]
    assert (both[:, :, 6 + GAP :] == 9).all()


def test_a_caption_stands_above_and_leaves_the_picture_alone() -> None:
    frames = np.random.default_rng(0).integers(0, 255, (2, 20, 200, 3), dtype=np.uint8)
    pictures = captioned(frames, "clean", ["step 0", "step 1"])
    assert pictures.shape == (2, BAR + 20, 200, 3)
    assert (pictures[:, BAR:] == frames).all()
    assert (pictures[0, :BAR] != pictures[1, :BAR]).any()


def test_a_gif_holds_every_frame_and_its_time(tmp_path: Path) -> None:
    frames = np.stack([np.full((8, 8, 3), shade, np.uint8) for shade in (0, 100, 200)])
    save(tmp_path / "a.gif", frames, fps=25)
    with Image.open(tmp_path / "a.gif") as image:
        assert (image.n_frames, image.info["duration"], image.info["loop"]) == (3, 40, 0)  # type: ignore[attr-defined]  # a GIF has them
    assert [path.name for path in tmp_path.iterdir()] == ["a.gif"]


@pytest.mark.parametrize("name", ["a.avi", "a", "gif"])
def test_a_name_that_is_no_video_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"is no video; give --out a name that ends in \.gif or \.mp4"):
        check_kind(Path(name))


def test_mp4_without_its_package_names_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("microbench.rendering.video.find_spec", lambda _: None)
    with pytest.raises(UserError, match=r"microbench-rl\[video\].*ends in \.gif"):
        check_kind(Path("a.mp4"))


def test_an_mp4_is_written_whole(tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    save(tmp_path / "a.mp4", np.zeros((5, 32, 32, 3), np.uint8), fps=25)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes()[4:8] == b"ftyp"


def test_the_pictured_robot_has_the_shape_of_the_simulated_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task = find_task("HalfCheetah-v4")
    simulated = nominal_model(task)
    simulated.geom_size[1:] *= 1.5
    simulated.body_pos[2] += 0.1
    pictured = _pictured(task, simulated)
    assert all((getattr(pictured, name) == getattr(simulated, name)).all() for name in SHAPE)
    assert pictured.ntex > 0 == simulated.ntex
    assert list(tmp_path.iterdir()) == []  # no MUJOCO_LOG.TXT


@pytest.mark.usefixtures("can_draw")
def test_a_ball_is_drawn_where_it_is() -> None:
    """A white ball moves from left to right through a black world; the brightest column follows it."""
    model = mujoco.MjModel.from_xml_string(
        "<mujoco><visual><headlight ambient='1 1 1'/></visual><worldbody><camera name='track' pos='0 -5 0' "
        "xyaxes='1 0 0 0 0 1'/><body><joint type='slide' axis='1 0 0'/><geom size='.3' rgba='1 1 1 1'/></body>"
        "</worldbody></mujoco>"
    )
    frames = draw(_binary(model), np.array([[-1.0], [0.0], [1.0]]), width=64, height=48)
    assert frames.shape == (3, 48, 64, 3)
    places = [int(frame.astype(int).sum(axis=(0, 2)).argmax()) for frame in frames]
    assert places[0] < places[1] < places[2]
    assert abs(places[1] - 32) <= 4


def test_a_machine_that_cannot_draw_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUJOCO_GL", "off")
    with pytest.raises(UserError, match=r"nothing can be drawn without a screen .*install EGL or OSMesa"):
        draw(_binary(nominal_model(find_task("Hopper-v4"))), np.zeros((1, 6)), width=8, height=8)


# ---- the command


@pytest.mark.usefixtures("can_draw")
def test_the_command_shows_what_results_hold(policy: Path, shell: Shell) -> None:
    folder = policy.parent
    assert shell("attack", folder, "--eps", 0.1, "--attack", "fgsm", "--episodes", 3, "--workers", 1).code == 0
    ended = shell("render", folder, "--attack", "fgsm", "--eps", 0.1, "--seed", 2, "--steps", 6, "--out", "a.gif")
    assert ended.code == 0, ended.err
    table = reports.read(folder / "results.csv")
    expected = table.loc[table["eval_seed"] == 2, "return"].tolist()
    assert [float(text) for text in re.findall(r"return ([\d.e+-]+)", ended.out)] == expected
    assert ended.out.count(", as in ") == 2
    with Image.open("a.gif") as image:
        assert image.n_frames <= 1 + math.ceil(6 / 5)  # type: ignore[attr-defined]  # a GIF has them; every fifth step
        assert image.size == (2 * 360 + GAP, 360 + BAR)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), "nothing to compare with"),
        (("--perturbation", "mass=1.5", "--eps", 0.1), "an attack needs a budget and a budget an attack"),
        (("--attack", "fgsm"), "an attack needs a budget and a budget an attack"),
        (("--attack", "fgms", "--eps", 0.1), "fgsm"),
        (("--perturbation", "mass"), "mass"),
        (("--perturbation", "mas=1.5"), "mass"),
        (("--perturbation", "mass=1.5", "--out", "a.avi"), "is no video"),
    ],
)
def test_a_mistake_is_one_sentence(options: tuple[object, ...], words: str, policy: Path, shell: Shell) -> None:
    ended = shell("render", policy, *options)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err
    assert ended.err.count("\n") == 1


def test_drawing_does_not_load_mujoco_before_its_time() -> None:
    code = "import sys, microbench.rendering.drawing; assert 'mujoco' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
