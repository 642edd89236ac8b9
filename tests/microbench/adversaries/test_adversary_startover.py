"""An adversary that is trained over again: the older one stays until there is a new one."""

from pathlib import Path

import pytest

from microbench.adversaries.files import Files
from microbench.errors import UserError

ABOUT = {"eps": 0.1}


def test_the_older_adversary_stays_until_the_new_one_is_finished(tmp_path: Path) -> None:
    files = Files(adversary=tmp_path / "a.safetensors")
    files.finish(b"old", [[{"step": 1.0}]])
    assert files.open(ABOUT, resume=False, force=True) is None
    files.store(ABOUT, {"returns": []})
    assert files.adversary.read_bytes() == b"old"
    with pytest.raises(UserError, match="a training that was interrupted; add --resume"):
        files.open(ABOUT, resume=False, force=False)
    stored = files.open(ABOUT, resume=True, force=False)
    assert stored is not None
    assert stored["returns"] == []
    files.finish(b"new", [[{"step": 2.0}]])
    assert files.adversary.read_bytes() == b"new"
    with pytest.raises(UserError, match="a finished adversary"):
        files.open(ABOUT, resume=True, force=False)
