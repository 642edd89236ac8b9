"""Exceptions of damaged or hostile files, and the one place that turns them into a sentence."""

import pickle
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from microbench.errors import UserError
from microbench.shown import shown

DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RuntimeError,
    SafetensorError,
    SyntaxError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""Exceptions that readers raise for a damaged or hostile file; an OSError comes from the disk."""


class Strange(ValueError):
    """A program holds an operator or construct that is not supported; the message names it, as 'the operator fft'."""


@contextmanager
def telling(path: Path, what: str = "a policy file", way_out: str = "give another file") -> Iterator[None]:
    """Turn exceptions of a damaged file into a UserError: it cannot be read as `what`, so `way_out`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # warnings about unusual syntax in a file do not concern the user
            yield
    except UserError:
        raise
    except Strange as strange:
        raise UserError(
            f"{path} is a program with {strange}, which is not read here; wrap it as a module:callable."
        ) from strange
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # of the disk; h5py's errors about a file's content have no number
        why = " ".join(shown(error, 160).split()) or type(error).__name__
        why = f"it has no {why}" if isinstance(error, KeyError) else why
        what_to_do = f"it is damaged or foreign, so {way_out}"
        if isinstance(error, pickle.UnpicklingError) and why.endswith("no policy needs"):
            what_to_do = "nothing that a file names is run here, so store the state_dict() of the policy alone"
        raise UserError(f"{path} cannot be read as {what} ({why}); {what_to_do}.") from error
