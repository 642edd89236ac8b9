"""Read mutated policy files: count those read and those refused in one sentence, and report any other outcome.

    python -m benchmarks.fuzz_checkpoints --mutations 10000

The files are those that the tests write, one or more of each family, and the tests' hostile files. A mutation flips
bits, or overwrites, cuts, repeats or inserts bytes. Some insert opcodes of pickles that call, nest, repeat or refer
back, numbers at the edge of 64 bits, or one piece many times. Every second one changes the members of a zip file and
packs them again, so that no checksum reveals it. It prints the counts, the slowest file, the peak memory, and every
error that is not one sentence. A command that ran from a file would leave a canary file.
"""

import argparse
import collections
import io
import random
import resource
import struct
import sys
import tempfile
import time
import traceback
import zipfile
from pathlib import Path

from microbench.checkpoints import load
from microbench.errors import UserError

OPCODES = (b"\x85", b"\x86", b"R", b"b", b"h\x00", b"h\x01", b"q\x05", b"0", b"2", b"(", b"e", b"u", b"]", b"}", b")")
"""Of pickles: tuples, calls, states, references, repetition, marks and containers."""
EDGES = (-(2**63), -1, 0, 1, 2**31 - 1, 2**31, 2**32, 2**61 - 1, 2**62, 2**63 - 1)


def mutated(content: bytes, rng: random.Random) -> bytes:
    """A changed copy; half of the archives are changed inside and packed again."""
    if content[:2] == b"PK" and rng.random() < 0.5:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        name = rng.choice(sorted(members))
        members[name] = mutated(members[name], rng)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, inner in members.items():
                archive.writestr(name, inner)
        return buffer.getvalue()
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        _change(changed, rng)
    return bytes(changed)


def _change(content: bytearray, rng: random.Random) -> None:
    """One change in place. Half of them lie in the first 400 bytes, where headers are."""
    reach = len(content) if rng.random() < 0.5 else min(len(content), 400)
    place = rng.randrange(reach + 1)
    kind = rng.randrange(8)
    if kind == 0 and place < len(content):
        content[place] ^= 1 << rng.randrange(8)
    elif kind == 1:
        content[place : place + 4] = rng.choice((b"\xff\xff\xff\x7f", bytes(4), b"\xff" * 4, rng.randbytes(4)))
    elif kind == 2:
        del content[place : place + rng.choice((1, 3, 100, len(content)))]
    elif kind == 3:
        content[place:place] = rng.randbytes(rng.choice((1, 2, 16)))
    elif kind == 4:
        start = rng.randrange(reach + 1)
        content[place:place] = content[start : start + rng.choice((1, 8, 64))]
    elif kind == 5:
        content[place:place] = rng.choice(OPCODES) * rng.choice((1, 2, 50))
    elif kind == 6:
        start = rng.randrange(reach + 1)
        content[place:place] = content[start : start + rng.choice((2, 16, 200))] * rng.choice((20, 500))
    else:
        content[place : place + 8] = struct.pack(rng.choice("<>") + "q", rng.choice(EDGES))


def outcome(path: Path) -> str:
    """What reading the file comes to."""
    try:
        load(path)
    except UserError as error:
        sentence = str(error)
        return "refused" if "\n" not in sentence and sentence.endswith(".") else f"no sentence: {sentence[:200]}"
    except Exception as error:  # this is what must not happen, and is counted
        return f"traceback: {error!r:.80} at {traceback.extract_tb(error.__traceback__)[-1].name}"
    return "read"


def main() -> None:
    """Print the counts; exit code 1 if there is anything but policies and refusals."""
    from tests.microbench.checkpoints.containers.hostile_corpus import corpus
    from tests.microbench.checkpoints.containers.hostile_exhausting import exhausting
    from tests.microbench.checkpoints.foreign_table import FILES

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng, counts, slowest = random.Random(arguments.seed), collections.Counter[str](), 0.0
    contents = {name: make() for name, make in FILES.items()}
    with tempfile.TemporaryDirectory() as folder:
        canary, path = Path(folder) / "canary", Path(folder) / "policy"
        hostile = corpus(canary) | exhausting()
        for content in hostile.values():
            path.write_bytes(content)
            counts[f"hostile, {outcome(path)}"] += 1
        for number in range(arguments.mutations):
            name = sorted(contents)[number % len(contents)]
            path.write_bytes(mutated(contents[name], rng))
            began = time.perf_counter()
            counts[f"mutated, {outcome(path)}"] += 1
            slowest = max(slowest, time.perf_counter() - began)
        ran = int(canary.exists())
    print(f"{len(hostile)} hostile files, {arguments.mutations} mutations of {len(contents)} files")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    for what, count in counts.most_common():
        print(f"{count:6d}  {what}")
    print(f"commands executed: {ran}; slowest mutation: {slowest:.2f} s; peak memory: {peak} MB")
    wrong = any(not what.endswith((", refused", ", read")) for what in counts)
    sys.exit(1 if ran or wrong or counts["hostile, read"] else 0)


if __name__ == "__main__":
    main()
