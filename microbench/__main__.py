"""The entry point of `python -m microbench`."""

import os
import sys


def _leave_working_directory() -> None:
    """Remove the working directory that `-m` put first on the search path, because a folder there could hide a package.

    It stays if this package itself is importable from nowhere else.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.path[:1] in ([""], [os.getcwd()]) and (os.getcwd() != home or home in sys.path[1:]):
        del sys.path[0]


if __name__ == "__main__":
    _leave_working_directory()  # before anything else is imported

from microbench.cli import main  # noqa: E402  # the search path comes first

if __name__ == "__main__":
    main()
