"""A check for the unrelated distribution that uses our package's name."""

from importlib.metadata import PackageNotFoundError, distribution

from microbench.errors import UserError

OURS = "microbench-rl"


def check_name() -> None:
    """Raise UserError if the unrelated distribution `microbench` is installed beside ours.

    Both own the import name and the script `microbench`; whichever was installed last has overwritten the other.
    """
    try:
        distribution("microbench")
    except PackageNotFoundError:
        return
    raise UserError(
        f"the unrelated distribution 'microbench' is installed beside '{OURS}' and overwrites its files; "
        f"uninstall both, then install '{OURS}' again in an environment of its own."
    )
