"""Datasets that lead elsewhere or hold more than they can: refused in a sentence, before anything is read."""

import io
import resource
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from microbench.data import hdf5_arrays
from microbench.data.d4rl import read_d4rl
from microbench.data.hdf5_arrays import Allowance, Refused, check, find
from microbench.errors import UserError
from tests.microbench.data.d4rl_arrays import arrays
from tests.microbench.toys import one_line

ROWS = 8
Spoil = Callable[[h5py.File, Path], None]


def other_file(folder: Path) -> Path:
    """A file of the reader's own, whose numbers must not be read."""
    path = folder / "secret.hdf5"
    with h5py.File(path, "w") as file:
        file["observations"] = np.full((ROWS, 2), 7.0, np.float32)
    (folder / "secret.bin").write_bytes(np.full((ROWS, 2), 7.0, np.float32).tobytes())
    return path


def external_link(file: h5py.File, folder: Path) -> None:
    file["observations"] = h5py.ExternalLink(str(other_file(folder)), "/observations")


def soft_link_through_an_external_one(file: h5py.File, folder: Path) -> None:
    file["away"] = h5py.ExternalLink(str(other_file(folder)), "/")
    file["observations"] = h5py.SoftLink("/away/observations")


def dangling_links(file: h5py.File, folder: Path) -> None:
    file["observations"] = h5py.SoftLink("/nowhere")


def dangling_external_link(file: h5py.File, folder: Path) -> None:
    file["observations"] = h5py.ExternalLink("nowhere.hdf5", "/observations")


def link_to_itself(file: h5py.File, folder: Path) -> None:
    file["observations"] = h5py.SoftLink("/observations")


def external_storage(file: h5py.File, folder: Path) -> None:
    other_file(folder)
    file.create_dataset(
        "observations", (ROWS, 2), np.float32, external=[(str(folder / "secret.bin"), 0, h5py.h5f.UNLIMITED)]
    )


def view(source_file: str, source: str) -> Spoil:
    def spoil(file: h5py.File, folder: Path) -> None:
        name = str(other_file(folder)) if source_file == "other" else "."
        layout = h5py.VirtualLayout((ROWS, 2), np.float32)
        layout[:] = h5py.VirtualSource(name, source, (ROWS, 2), np.float32)
        file.create_virtual_dataset("observations", layout)

    return spoil


def view_of_external_storage(file: h5py.File, folder: Path) -> None:
    other_file(folder)
    file.create_dataset("inner", (ROWS, 2), np.float32, external=[(str(folder / "secret.bin"), 0, h5py.h5f.UNLIMITED)])
    view("own", "inner")(file, folder)


def view_through_a_link(file: h5py.File, folder: Path) -> None:
    file["inner"] = h5py.ExternalLink(str(other_file(folder)), "/observations")
    view("own", "inner")(file, folder)


def view_of_a_view(file: h5py.File, folder: Path) -> None:
    layout = h5py.VirtualLayout((ROWS, 2), np.float32)
    layout[:] = h5py.VirtualSource(str(other_file(folder)), "observations", (ROWS, 2), np.float32)
    file.create_virtual_dataset("inner", layout)
    view("own", "inner")(file, folder)


def view_of_a_pattern(name: str) -> Spoil:
    """Parts without an end, whose number only shows when they are looked for."""

    def spoil(file: h5py.File, folder: Path) -> None:
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        space = h5py.h5s.create_simple((ROWS, 2), (h5py.h5s.UNLIMITED, 2))
        space.select_hyperslab((0, 0), (h5py.h5s.UNLIMITED, 1), block=(1, 2))
        source = h5py.h5s.create_simple((1, 2))
        plan.set_virtual(space, name.encode(), b"part%b", source)
        h5py.h5d.create(file.id, b"observations", h5py.h5t.NATIVE_FLOAT, space, plan)

    return spoil


def huge(shape: tuple[int, ...], **options: Any) -> Spoil:
    def spoil(file: h5py.File, folder: Path) -> None:
        file.create_dataset("observations", shape, np.float32, **options)

    return spoil


def empty(file: h5py.File, folder: Path) -> None:
    file["observations"] = h5py.Empty("f4")


def packed_twice(file: h5py.File, folder: Path) -> None:
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_chunk((ROWS, 2))
    plan.set_deflate(9)
    plan.set_deflate(9)
    h5py.h5d.create(file.id, b"observations", h5py.h5t.NATIVE_FLOAT, h5py.h5s.create_simple((ROWS, 2)), plan)


def bomb(file: h5py.File, folder: Path) -> None:
    """A chunk of 64 bytes that unpacks to 100 MB."""
    array = file.create_dataset("observations", (ROWS, 2), np.float32, chunks=(ROWS, 2), compression="gzip")
    packer, packed = zlib.compressobj(9), io.BytesIO()
    for _ in range(100):
        packed.write(packer.compress(bytes(2**20)))
    packed.write(packer.flush())
    array.id.write_direct_chunk((0, 0), packed.getvalue())


def text(file: h5py.File, folder: Path) -> None:
    file["observations"] = [[b"a"] * 2] * ROWS


def compound(file: h5py.File, folder: Path) -> None:
    file["observations"] = np.zeros((ROWS, 2), [("a", "f4"), ("b", "f4")])


def references(file: h5py.File, folder: Path) -> None:
    file.create_dataset("observations", (ROWS, 2), h5py.ref_dtype)


HOSTILE: dict[str, tuple[Spoil, str]] = {
    "an external link": (external_link, "a link that may lead out"),
    "a soft link through one": (soft_link_through_an_external_one, "a link that may lead out"),
    "a dangling link": (dangling_links, "a link that may lead out"),
    "a dangling external link": (dangling_external_link, "a link that may lead out"),
    "a link to itself": (link_to_itself, "a link that may lead out"),
    "external storage": (external_storage, "stored in another file"),
    "a view of another file": (view("other", "observations"), "a view of another file"),
    "a view of external storage": (view_of_external_storage, "stored in another file"),
    "a view through a link": (view_through_a_link, "a link that may lead out"),
    "a view of a view": (view_of_a_view, "a view of another file"),
    "a view of nothing": (view("own", "nothing"), "a view of an array that is not there"),
    "a view of all that fit a pattern": (view_of_a_pattern("."), "a view of too many arrays"),
    "such a view of other files": (view_of_a_pattern("part%b.hdf5"), "a view of another file"),
    "a huge array": (huge((10**12, 2)), "far larger than the file"),
    "an array whose size overflows": (huge((2**62, 4)), "far larger than the file"),
    "a huge array in chunks": (huge((10**9, 2), chunks=(1000, 2), compression="gzip"), "far larger than the file"),
    "a huge chunk": (huge((ROWS, 2), chunks=(10**8, 2), maxshape=(None, 2)), "chunks that are larger"),
    "a chunk per row": (huge((10**6, 2), chunks=(1, 2), compression="gzip"), "too many chunks"),
    "no columns": (huge((10**15, 0)), r"expected \(N, D\)"),
    "many axes": (huge((ROWS,) + (1,) * 30), r"expected \(N, D\)"),
    "nothing": (empty, "empty"),
    "two compressions": (packed_twice, "packed in an unusual way"),
    "a bomb": (bomb, "stored in more bytes than it has"),
    "text": (text, "not an array of numbers"),
    "a compound": (compound, "not an array of numbers"),
    "references": (references, "not an array of numbers"),
}


@pytest.mark.parametrize(("spoil", "words"), HOSTILE.values(), ids=HOSTILE.keys())
def test_it_is_refused_in_a_sentence_at_once(spoil: Spoil, words: str, tmp_path: Path) -> None:
    path = tmp_path / "hopper.hdf5"
    with h5py.File(path, "w") as file:
        for key, value in arrays(observations=None, next_observations=None).items():
            file[key] = value
        spoil(file, tmp_path)
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match=words) as caught:
        read_d4rl(path, env_id="Hopper-v4", limit=1000)
    assert one_line(caught.value)
    assert "'observations' in" in str(caught.value)
    assert time.monotonic() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18  # KiB


@pytest.mark.parametrize("key", ["next_observations", "timeouts", "truncations", "rewards", "terminals"])
def test_no_array_that_is_read_may_be_a_link(key: str, tmp_path: Path) -> None:
    path = tmp_path / "hopper.hdf5"
    with h5py.File(path, "w") as file:
        for name, value in arrays(**{key: None}).items():
            file[name] = value
        file[key] = h5py.ExternalLink(str(other_file(tmp_path)), "/observations")
    with pytest.raises(UserError, match=f"'{key}' in .* a link that may lead out"):
        read_d4rl(path, env_id="Hopper-v4")


def test_a_chunk_that_unpacks_to_more_than_it_should_is_found_before_it_is_read(tmp_path: Path) -> None:
    """Its stored size is what an honest chunk may have; only unpacking it step by step shows what is in it."""
    size = 2**20
    with h5py.File(tmp_path / "bomb.hdf5", "w") as file:
        array = file.create_dataset("array", (size,), np.uint8, chunks=(size,), compression="gzip")
        packer, packed = zlib.compressobj(1), io.BytesIO()
        while packed.tell() < hdf5_arrays.CAREFUL_FROM:
            packed.write(packer.compress(bytes(2**22)))
        packed.write(packer.flush())
        array.id.write_direct_chunk((0,), packed.getvalue())
        with pytest.raises(Refused, match="unpack to more than they should"):
            check(array, Allowance.of(size))


def test_honest_large_chunks_are_read(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, 2**20, np.uint8)
    with h5py.File(tmp_path / "fine.hdf5", "w") as file:
        kinds: dict[str, dict[str, Any]] = {
            "packed": {"compression": "gzip"},
            "summed": {"compression": "gzip", "fletcher32": True, "shuffle": True},
            "lzf": {"compression": "lzf"},
        }
        for name, options in kinds.items():
            array = file.create_dataset(name, data=noise, chunks=noise.shape, **options)
            check(array, Allowance.of(0))
            assert np.array_equal(hdf5_arrays.read(array), noise)


def test_arrays_share_one_allowance(tmp_path: Path) -> None:
    allowance = Allowance.of(10, free=100, growth=10)
    with h5py.File(tmp_path / "file.hdf5", "w") as file:
        array = file.create_dataset("array", data=np.zeros(25, np.float32))
        check(array, allowance)
        check(array, allowance)
        with pytest.raises(Refused, match="far larger"):
            check(array, allowance)


def test_what_is_found_by_name(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "file.hdf5", "w") as file:
        file["group/array"] = [1.0]
        assert find(file, "group/array") == file["group/array"]
        assert find(file, "/group/./array") == file["group/array"]
        assert find(file, "group/none") is find(file, "none/array") is find(file, "group/array/more") is None
        assert find(file, "") is find(file, "/") is None
        with pytest.raises(Refused, match="not an array of numbers"):
            find(file, "group")
