"""What reading a damaged or a dishonest file raises, and the one place where it becomes a sentence."""

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
"""What reading a damaged or a dishonest file raises, whoever reads it; an OSError is the disk's."""


class Strange(ValueError):
    """What a program holds and nothing here can do, in a few words: 'the operator fft'."""


@contextmanager
def telling(path: Path, what: str = "a policy file", way_out: str = "give another file") -> Iterator[None]:
    """Turn what a damaged file raises into one sentence: it cannot be read as `what`, so `way_out`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd spellings in a file are nobody's business
            yield
    except UserError:
        raise
    except Strange as strange:
        raise UserError(
            f"{path} is a program with {strange}, which is not read here; wrap it as a module:callable."
        ) from strange
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's; h5py's about what is in a file have no number
        why = " ".join(shown(error, 160).split()) or type(error).__name__
        why = f"it has no {why}" if isinstance(error, KeyError) else why
        what_to_do = f"it is damaged or foreign, so {way_out}"
        if isinstance(error, pickle.UnpicklingError) and why.endswith("no policy needs"):
            what_to_do = "nothing that a file names is run here, so store the state_dict() of the policy alone"
        raise UserError(f"{path} cannot be read as {what} ({why}); {what_to_do}.") from error
