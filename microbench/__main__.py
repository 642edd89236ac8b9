"""`python -m microbench`."""

from microbench.cli import main

main()
