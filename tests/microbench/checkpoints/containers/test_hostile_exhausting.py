"""Small files that ask for gigabytes, hours or the end of the process: one sentence each, soon, in little memory."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from microbench.checkpoints.containers.budget import Exhausted, accounted, pay
from microbench.checkpoints.containers.pickles import read_pickle
from microbench.checkpoints.programs.protobuf import MessageReader
from microbench.checkpoints.readers import d4rl_policy
from tests.microbench.checkpoints.containers.hostile_exhausting import exhausting

READ = """
import json, sys, time
from pathlib import Path
from microbench.checkpoints import load
from microbench.checkpoints.statistics import read_statistics
from microbench.errors import UserError
for path in sorted(Path(sys.argv[1]).iterdir()):
    began, outcome = time.process_time(), ""
    try:
        (read_statistics if "statistics" in path.name else load)(path)
    except UserError as error:
        outcome = str(error)
    except BaseException as error:
        outcome = "traceback " + repr(error)
    status = Path("/proc/self/status").read_text()  # what getrusage says includes the process that this was forked off
    peak = int(status.partition("VmHWM:")[2].split()[0]) >> 10
    print(json.dumps([path.name, outcome, time.process_time() - began, peak]), flush=True)
"""


def test_every_exhausting_file_ends_in_one_sentence(tmp_path: Path) -> None:
    """In one process of its own, because some of them would end it: ten seconds and 1 GB are the most."""
    contents = exhausting()
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    ran = subprocess.run([sys.executable, "-c", READ, str(tmp_path)], capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in ran.stdout.splitlines()]
    assert (ran.returncode, ran.stderr) == (0, ""), f"ended after {rows[-1:]}"
    assert {name for name, *_ in rows} == contents.keys()
    assert [name for name, message, *_ in rows if not message] == []
    assert [row for row in rows if row[1].startswith("traceback") or "\n" in row[1] or len(row[1]) > 600] == []
    assert [row for row in rows if row[2] > 8] == []
    assert max(peak for *_, peak in rows) < 1000


def test_an_account_is_shared_by_all_that_read_a_file() -> None:
    with accounted(0), accounted(0):
        pay(size=2**27)
        with pytest.raises(Exhausted, match="more memory"), accounted(0):
            pay(size=2**28)
    pay(size=2**40)  # nobody reads a file


def test_a_longer_file_may_make_more() -> None:
    with accounted(2**27):
        pay(size=2**30)


@pytest.mark.parametrize("protocol", range(6))
def test_keys_and_members_that_people_use_are_read(protocol: int) -> None:
    tree = {"a": 1, 2: "b", -7: None, 0.5: [], True: 0, (1, "x"): {}, None: (), b"c": {"d": 2}}
    assert read_pickle(pickle.dumps(tree, protocol)).keys() == tree.keys()


def test_a_number_in_place_of_a_text_makes_no_text_of_that_length() -> None:
    assert d4rl_policy._text(np.array(10**15)) is None
    assert d4rl_policy._text(np.array(b"relu")) == "relu"


def test_packed_integers_are_counted_over_the_whole_message() -> None:
    field = b"\x0a\xc0\x84\x3d" + b"\x01" * 1_000_000  # field 1, a million times 1
    with pytest.raises(ValueError, match="more integers than a policy has"):
        MessageReader().message(memoryview(field), {1: ("numbers", "int")})
