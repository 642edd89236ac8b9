"""All tests on one thread: networks this small gain nothing from two, and where cores are shared they lose tenfold."""

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported, and for the processes that tests start

import torch

from microbench.numerics.strict_products import use_strict_products

torch.set_num_threads(1)
use_strict_products()  # as every evaluation does, for tests of attacks that do not go through one
