"""Ray: the rows of one process to the bit, also after a kill, and nothing of it on the terminal."""

import importlib.util
import os
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

from microbench.adversaries.storing import save_adversary
from microbench.checkpoints import Checkpoint, Source
from microbench.errors import UserError
from microbench.evaluation.plan import chunks
from microbench.evaluation.workers import evaluate_episodes, ray_cluster, ray_connection, sent
from microbench.versions import versions
from tests.microbench.adversaries.adversary_files import stored
from tests.microbench.evaluation.workers.work import HOPPER, together, work
from tests.microbench.small_run import Shell, policy_bytes, write_policy

pytestmark = pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="the extra ray is not installed")

NOWHERE = Source(path="p", file_sha256="", identity="")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return write_policy(tmp_path / "policy.safetensors")


def test_ray_gives_the_rows_of_one_process_also_after_a_kill(
    checkpoint: Checkpoint, been_here: Path, capfd: pytest.CaptureFixture[str], named: list[str]
) -> None:
    """One start of Ray for all that needs one: rows, a killed worker, errors, and a quiet terminal."""
    handler = signal.getsignal(signal.SIGTERM)
    episodes = work("tests.microbench.evaluation.workers.work:dies_once", "pgd", *named)
    rows = together(evaluate_episodes(checkpoint, HOPPER, episodes, 2, ray="local"))
    assert been_here.exists()
    assert signal.getsignal(signal.SIGTERM) is handler
    assert not os.environ.get("RAY_USAGE_STATS_ENABLED")
    pd.testing.assert_frame_equal(rows, together(evaluate_episodes(checkpoint, HOPPER, episodes)), check_exact=True)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def named(tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Attacks that name files of the present folder: the critic of another policy, and an adversary."""
    write_policy(tmp_path / "judge.safetensors", seed=1)
    origin = replace(stored().origin, victim=checkpoint.sha256, eps=0.2, unit=HOPPER.unit)
    layers = ((torch.eye(11), torch.zeros(11)),)
    of = replace(stored(), origin=origin, layers=layers, mean=torch.zeros(11), std=torch.ones(11))
    (tmp_path / "taught.safetensors").write_bytes(save_adversary(of))
    monkeypatch.chdir(tmp_path)
    return ['min-q(critic="judge.safetensors")', "adversary:taught.safetensors"]


def test_a_worker_elsewhere_has_the_files_that_attacks_name(
    checkpoint: Checkpoint, named: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is sent is read here, in a folder that holds none of it, and results call the attacks what they were."""
    episodes = work(*named, "pgd")
    expected = together(evaluate_episodes(checkpoint, HOPPER, episodes))
    source = checkpoint.source
    parts = [(chunk, sent.attack_files(chunk[0].cell.attack)) for chunk in chunks(episodes)]
    policy = sent.policy_files(source)
    assert [len(files) for _, files in parts] == [0, 1, 1, 0, 0]
    for file in tmp_path.iterdir():
        file.unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    table = together(
        ray_cluster._evaluate(policy, source, HOPPER, versions(), [], files, number, chunk)
        for number, (chunk, files) in enumerate(parts)
    )
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    assert set(table["attack"]) == {"none", "pgd", *named}


def test_a_file_that_is_not_there_is_told_by_the_worker(checkpoint: Checkpoint) -> None:
    (chunk, *_) = chunks(work('min-q(critic="gone.safetensors")')[10:20])
    files = sent.attack_files(chunk[0].cell.attack)
    assert files == ()
    with pytest.raises(UserError, match=r"there is no critic file gone\.safetensors"):
        ray_cluster._evaluate(
            sent.policy_files(checkpoint.source), checkpoint.source, HOPPER, versions(), [], files, 0, chunk
        )


def test_what_ray_starts_listens_on_the_loopback_device_and_ends(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs of this machine may listen where they like."""
    monkeypatch.setenv("STARTED_BY", str(os.getpid()))  # what is started inherits it
    before = listening()
    with ray_cluster.on_ray(checkpoint, HOPPER, "local", 1):
        import ray  # not before: Ray reads where to listen when it is imported

        opened = listening() - before
        assert opened
        assert {address for address in opened if not address[0].startswith("127.")} == set()
        finished = evaluate_episodes(checkpoint, HOPPER, work("nobody"), 1, ray="local")
        with pytest.raises(ValueError, match=r"^There is no attack 'nobody'"):
            list(finished)  # in the Ray that is there already, which goes on
        assert ray.is_initialized()
    assert not ray.is_initialized()
    deadline = time.monotonic() + 20
    while listening() - before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert listening() - before == set()


def listening() -> set[tuple[str, int]]:
    """Address and port of every socket, IPv4 or mapped into IPv6, on which this process or one it started listens."""
    sockets, listening = open_sockets(), set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            words = line.split()
            address, port = words[1].split(":")
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                listening.add((socket.inet_ntoa(bytes.fromhex(address[-8:])[::-1]), int(port, 16)))
    return listening


def open_sockets() -> set[str]:
    """The sockets of this process and of all that have its mark in their environment, as /proc calls them."""
    mark, sockets = f"STARTED_BY={os.getpid()}\0".encode(), set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            if int(process.name) == os.getpid() or mark in (process / "environ").read_bytes():
                for file in (process / "fd").iterdir():
                    with suppress(FileNotFoundError):  # closed meanwhile, as what lists them is
                        sockets.add(os.readlink(file))
    return sockets


def test_a_cluster_that_does_not_answer_is_told_in_time(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_connection, "PATIENCE", 2)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"127.0.0.1:{deaf.getsockname()[1]}"
        began = time.monotonic()
        with pytest.raises(UserError, match=f"no Ray cluster answers at {address} within 2 s"):
            list(evaluate_episodes(checkpoint, HOPPER, work(), ray=address))
        assert time.monotonic() - began < 30
    with pytest.raises(UserError, match="--ray nonsense is no address"):
        list(evaluate_episodes(checkpoint, HOPPER, work(), ray="nonsense"))


def test_a_missing_ray_is_told(runs: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ray" else find(name))
    result = shell("attack", "--eps", "0.1", "--attack", "random", "--ray", "auto", "--runs", runs)
    assert result.is_one_sentence
    assert "microbench-rl[ray]" in result.err


def test_a_policy_that_was_replaced_is_noticed(checkpoint: Checkpoint) -> None:
    checkpoint.path.write_bytes(policy_bytes(seed=1))
    with pytest.raises(UserError, match=r"policy\.safetensors was replaced"):
        list(evaluate_episodes(checkpoint, HOPPER, work(), ray="local"))


def test_a_worker_with_other_versions_is_refused() -> None:
    other = versions() | {"torch": "1.0"}
    with pytest.raises(UserError, match=r"has torch \d.* where this process has 1\.0; install the same versions"):
        ray_cluster._evaluate((), NOWHERE, HOPPER, other, [], (), 0, ())


def test_the_workers_path_is_that_of_who_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(dict.fromkeys(sys.path)))
    with pytest.raises(UserError, match=r"Empty file|no policy file|no known family|cannot be read"):
        ray_cluster._evaluate((("p", b""),), NOWHERE, HOPPER, versions(), ["below/here", sys.path[0]], (), 0, ())
    assert sys.path.count("below/here") == 1
    assert sys.path.count(sys.path[0]) == 1
