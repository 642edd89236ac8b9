"""`python -m microbench`."""

import os
import sys


def _leave_working_directory() -> None:
    """Take off the search path what `-m` has put in front: a folder there could hide a package, or stand for one.

    It stays where this package itself is found nowhere else.
    """
    home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    if sys.path[:1] in ([""], [os.getcwd()]) and (os.getcwd() != home or home in sys.path[1:]):
        del sys.path[0]


if __name__ == "__main__":
    _leave_working_directory()  # before anything else is imported

from microbench.cli import main  # noqa: E402  # the search path comes first

if __name__ == "__main__":
    main()
