"""The provenance of a result besides its settings: date, processor, versions and commit."""

import json
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch

from microbench.versions import versions

DISTRIBUTION = "microbench-rl"
CPUINFO = Path("/proc/cpuinfo")


def provenance() -> dict[str, Any]:
    """Date (UTC), processor, threads of torch in this process, commit of the package (None if unknown), versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "commit": commit(),
        "versions": versions(),
    }


def processor(cpuinfo: Path = CPUINFO) -> str:
    """The processor's name if the system reports it, else its architecture."""
    try:
        lines = cpuinfo.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def commit(package: Path = Path(__file__).parents[1]) -> str | None:
    """The git commit of the installed package, read from files; None if no file names it.

    It is that of the checkout that contains the package, or the one that pip recorded when it installed from a
    repository. Git does not run, so that later changes of files go unnoticed.
    """
    root = package.parent
    if (root / "pyproject.toml").is_file() and (root / ".git").exists():
        return _head(root / ".git")
    try:
        text = distribution(DISTRIBUTION).read_text("direct_url.json")
        commit_id = json.loads(text)["vcs_info"]["commit_id"] if text else None
    except (PackageNotFoundError, ValueError, KeyError, TypeError):
        return None
    return commit_id if isinstance(commit_id, str) else None


def _head(git: Path) -> str | None:
    """The commit of HEAD in a repository or in one of its work trees; None if a file is missing."""
    try:
        if git.is_file():  # in a further work tree .git is a file that names the folder
            git = git.parent / git.read_text("utf-8").removeprefix("gitdir:").strip()
        common = git / "commondir"
        shared = git / common.read_text("utf-8").strip() if common.is_file() else git
        head = (git / "HEAD").read_text("utf-8").strip()
        if not head.startswith("ref:"):
            return head
        name = head.removeprefix("ref:").strip()
        for place in (git / name, shared / name):
            if place.is_file():
                return place.read_text("utf-8").strip()
        packed = (shared / "packed-refs").read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return next((line.split()[0] for line in packed if line.endswith(f" {name}")), None)
