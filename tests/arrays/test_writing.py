"""What is written is written whole, reads back the same, and says when there is no room."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_unet.arrays import writing
from napari_unet.arrays.axes import views
from napari_unet.arrays.files import open_picture
from napari_unet.arrays.writing import (
    atomic_write,
    check_writable,
    create_arrays,
    storage_error,
    write_array,
    write_tiff,
)
from napari_unet.config import StorageError
from tests.arrays.spies import Spy

DTYPES = ["uint8", ">u2", "int32", "uint64", "float16", "float32", ">f8"]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_whole_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "folder" / "a.json"
    atomic_write(path, b"old")
    atomic_write(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert names(path.parent) == ["a.json"]


def test_others_may_read_what_is_written(tmp_path):
    before = os.umask(0o022)
    try:
        atomic_write(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o644


def test_a_failure_in_between_leaves_the_old_file(tmp_path):
    class Broken:
        shape, dtype = (2, 8, 8), np.dtype("u1")

        def __getitem__(self, _key):
            raise RuntimeError("the source failed")

    (tmp_path / "a.tif").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="the source failed"):
        write_tiff(tmp_path / "a.tif", Broken(), "ZYX")
    assert (tmp_path / "a.tif").read_bytes() == b"old"
    assert names(tmp_path) == ["a.tif"]


@given(
    st.sampled_from(["X", "YX", "CX", "ZYX", "CYX", "TZYX", "CZYX", "TCZYX"]),
    st.sampled_from(DTYPES),
    st.data(),
)
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_tiff_gives_back_pixels_axes_and_spacing(tmp_path, axes, dtype, data):
    shape = [data.draw(st.integers(1, 5)) for _ in axes]
    array = np.random.default_rng(0).integers(0, 250, shape).astype(dtype)
    space = [letter for letter in "ZYX" if letter in axes]
    spacing = data.draw(st.none() | st.tuples(*[st.floats(1e-3, 1e3)] * len(space)))
    write_tiff(tmp_path / "a.tif", array, axes, spacing)
    picture = open_picture(tmp_path / "a.tif", ndim=len(space))
    assert picture.axes == axes
    assert picture.spacing == spacing
    assert not isinstance(picture.data, np.ndarray)  # mapped, not read
    np.testing.assert_array_equal(np.asarray(picture.data), array)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif").reshape(shape), array)


@pytest.mark.parametrize("name", ["a.tif", "a.ome.tif"])
@pytest.mark.parametrize("unit", ["µm", ""])
def test_a_tiff_gives_back_the_unit_of_its_spacing(tmp_path, name, unit):
    write_tiff(tmp_path / name, np.zeros((4, 5), np.uint8), "YX", (0.5, 0.25), unit)
    picture = open_picture(tmp_path / name, ndim=2)
    assert (picture.spacing, picture.unit) == ((0.5, 0.25), unit)


@pytest.mark.parametrize("axes", ["YX", "CYX", "TCYX", "CTZYX", "CZYX", "PCYX"])
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "float32"])
@pytest.mark.parametrize("name", ["a.ome.tif", "a.OME.TIFF"])
def test_an_ome_tiff_says_in_its_own_words_what_it_holds(tmp_path, axes, dtype, name):
    array = np.random.default_rng(0).integers(0, 250, (2, 3, 4, 5, 6)[-len(axes) :]).astype(dtype)
    spacing = (2.0, 0.5, 0.25)[-sum(letter in "ZYX" for letter in axes) :]
    write_tiff(tmp_path / name, array, axes, spacing, "µm")
    with tifffile.TiffFile(tmp_path / name) as file:
        assert file.is_ome
        assert 'PhysicalSizeX="0.25" PhysicalSizeXUnit="µm"' in (file.ome_metadata or "")
    picture = open_picture(tmp_path / name, ndim=2)
    assert (picture.axes, picture.spacing) == (axes, spacing)
    assert not isinstance(picture.data, np.ndarray)
    np.testing.assert_array_equal(np.asarray(picture.data), array)


@pytest.mark.parametrize("chunks", [(1, 16, 16), (8, 8, 64), (3, 5, 7), (9, 99, 99)])
@pytest.mark.parametrize("block_bytes", [1, 3000, 2**24])
def test_every_chunk_is_read_once(tmp_path, monkeypatch, chunks, block_bytes):
    monkeypatch.setattr(writing, "BLOCK_BYTES", block_bytes)
    array = np.random.default_rng(0).integers(0, 2**16, (9, 40, 50)).astype(np.uint16)
    spy = Spy(array)
    spy.chunks = chunks
    shares = list(writing.stream_tiff(tmp_path / "a.tif", spy, "ZYX"))
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert sum(np.prod(read) for read in spy.reads) == array.size
    whole = np.prod(np.minimum(chunks, array.shape)) * 2
    assert max(np.prod(read) * 2 for read in spy.reads) <= max(block_bytes, whole)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), array)


def test_strips_are_small_and_lie_in_one_piece(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "STRIP_BYTES", 1000)
    write_tiff(tmp_path / "a.tif", np.ones((3, 99, 100), np.uint8), "TYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert [page.rowsperstrip for page in file.pages] == [10, 10, 10]
        assert file.series[0].dataoffset is not None


def test_a_tiff_that_is_stopped_leaves_the_old_one(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "BLOCK_BYTES", 100)
    (tmp_path / "a.tif").write_bytes(b"old")
    stream = writing.stream_tiff(tmp_path / "a.tif", np.ones((40, 50), np.uint8), "YX")
    assert next(stream) < 1
    stream.close()
    assert (tmp_path / "a.tif").read_bytes() == b"old"
    assert names(tmp_path) == ["a.tif"]


def test_three_classes_are_not_colours(tmp_path):
    write_tiff(tmp_path / "a.tif", np.zeros((3, 8, 9), np.float32), "CYX")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].photometric == tifffile.PHOTOMETRIC.MINISBLACK
        assert len(file.pages) == 3


def test_bool_becomes_zero_and_one(tmp_path):
    write_tiff(tmp_path / "a.tif", np.eye(9) > 0, "YX")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), np.eye(9, dtype=np.uint8))


@pytest.mark.parametrize("shape", [(40, 30), (3, 40, 30), (2, 3, 40, 30)])
def test_lazy_arrays_are_written_in_small_blocks(tmp_path, monkeypatch, shape):
    monkeypatch.setattr(writing, "BLOCK_BYTES", 500)
    array = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    spy = Spy(array)
    write_tiff(tmp_path / "a.tif", spy, "TZYX"[-array.ndim :])
    assert max(np.prod(read) * 2 for read in spy.reads) <= 500
    assert sum(np.prod(read) for read in spy.reads) == array.size
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), array)


def test_more_than_two_gigabytes_make_a_big_tiff(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "BIG_TIFF_BYTES", 1000)
    for size in (1000, 1001):
        write_tiff(tmp_path / f"{size}.tif", np.zeros((1, size), np.uint8), "YX")
        with tifffile.TiffFile(tmp_path / f"{size}.tif") as file:
            assert file.is_bigtiff == (size > 1000)


@pytest.mark.parametrize("name", ["a.npy", "a.tif", "a.TIFF"])
@pytest.mark.parametrize("shape", [(7,), (5, 7), (3, 5, 7), (3, 2, 5, 7)])
def test_arrays_read_back_from_either_format(tmp_path, name, shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_array(tmp_path / name, array)
    read = np.load if name.endswith("npy") else tifffile.imread
    np.testing.assert_array_equal(read(tmp_path / name), array)
    picture = open_picture(tmp_path / name, ndim=min(2, len(shape)))
    found = [view[:] for view in views(picture, min(2, len(shape)))]
    np.testing.assert_array_equal(np.ravel(found), array.ravel())


def test_other_formats_are_refused(tmp_path):
    with pytest.raises(ValueError, match="U150"):
        write_array(tmp_path / "a.png", np.zeros((5, 5)))
    assert names(tmp_path) == []


# Places that cannot be written. Tests may run as root, so permissions forbid nothing.


def writers():
    return {
        "atomic_write": lambda path: atomic_write(path, b"x"),
        "write_tiff": lambda path: write_tiff(path, np.zeros((4, 4)), "YX"),
        "write_array": lambda path: write_array(path.with_suffix(".npy"), np.zeros(4)),
        "check_writable": check_writable,
        "create_arrays": create_arrays,
    }


@pytest.mark.parametrize("writer", writers())
@pytest.mark.parametrize(
    "name", ["file/a.npy", "file/deeper/a.npy", "x" * 300 + ".npy", "taken.npy"]
)
def test_a_place_that_cannot_be_written_is_told(tmp_path, writer, name):
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "taken.npy").mkdir()
    (tmp_path / "taken.npy/inside").touch()
    before = names(tmp_path)
    with pytest.raises(StorageError, match="U130"):
        writers()[writer](tmp_path / name)
    assert names(tmp_path) == before


def test_checking_leaves_nothing_behind_and_harms_nothing(tmp_path):
    (tmp_path / "old.tif").write_bytes(b"old")
    create_arrays(tmp_path / "result.zarr")
    before = names(tmp_path)
    for name in ("new.tif", "old.tif", "deep/er/new.tif", "new.zarr", "result.zarr"):
        check_writable(tmp_path / name)
    assert names(tmp_path) == before
    assert (tmp_path / "old.tif").read_bytes() == b"old"


def test_relative_paths_are_fine(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    check_writable("a.json")
    atomic_write("a.json", b"1")
    write_array("-b.npy", np.zeros(3))
    assert names(tmp_path) == ["-b.npy", "a.json"]


def test_results_replace_older_results(tmp_path):
    first = create_arrays(tmp_path / "new/result.zarr")
    first.create_array("classes", data=np.ones((4, 4), np.uint8))
    assert first.metadata.zarr_format == 3
    second = create_arrays(tmp_path / "new/result.zarr")
    assert list(second.array_keys()) == []
    assert not (tmp_path / "new/result.zarr/classes").exists()


def test_an_empty_folder_may_become_a_result(tmp_path):
    (tmp_path / "empty").mkdir()
    create_arrays(tmp_path / "empty")


@pytest.mark.parametrize("kind", ["file", "folder", "array", "group", "broken"])
def test_what_the_user_made_is_never_replaced(tmp_path, kind):
    path = tmp_path / "mine.zarr"
    if kind == "file":
        path.write_text("mine")
    elif kind == "array":
        zarr.create_array(path, data=np.ones((4, 4)))
    elif kind == "group":
        zarr.create_group(path).create_array("0", data=np.ones((4, 4)))
    else:
        path.mkdir()
        (path / ("zarr.json" if kind == "broken" else "notes.txt")).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    for writer in (create_arrays, check_writable):
        with pytest.raises(StorageError, match=r"U130: .*mine\.zarr exists"):
            writer(path)
    assert sorted(tmp_path.rglob("*")) == before


FULL = """
import json, resource, sys
from pathlib import Path
import numpy as np
import zarr
from napari_unet.arrays.writing import atomic_write, create_arrays, storing, write_array, write_tiff
from napari_unet.config import StorageError

folder, room = Path(sys.argv[1]), 300_000
resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

def fill(path):
    with storing(path):
        group = create_arrays(path)
        one_chunk = {"shape": (room,), "chunks": (room,), "compressors": None}
        array = group.create_array("a", dtype="f8", **one_chunk)
        array[:] = 1

large = np.ones((2, 500, 500))
writers = {
    "a.json": lambda path: atomic_write(path, bytes(2 * room)),
    "a.npy": lambda path: write_array(path, large),
    "a.tif": lambda path: write_tiff(path, large, "ZYX"),
    "just.npy": lambda path: write_array(path, np.ones(room // 8)),
    "small.npy": lambda path: write_array(path, np.ones(9)),
    "a.zarr": fill,
}
told = {}
for name, writer in writers.items():
    try:
        writer(folder / name)
        told[name] = "written"
    except StorageError as error:
        told[name] = str(error)
print(json.dumps(told))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
def test_a_full_disk_is_told_and_leaves_the_old_files(tmp_path):
    for name in ("a.json", "a.npy", "a.tif"):
        (tmp_path / name).write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True
    )
    told = json.loads(done.stdout)
    assert done.stderr == ""
    assert told.pop("small.npy") == "written"
    for name, words in told.items():
        assert words.startswith(f"U134: no room to write {tmp_path / name} (")
    for name in ("a.json", "a.npy", "a.tif"):
        assert (tmp_path / name).read_bytes() == b"old"
    assert names(tmp_path) == ["a.json", "a.npy", "a.tif", "a.zarr", "small.npy"]
    np.testing.assert_array_equal(np.load(tmp_path / "small.npy"), np.ones(9))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_device_is_told(tmp_path):
    with (
        pytest.raises(StorageError, match="U134"),
        writing.storing(tmp_path),
        open("/dev/full", "wb", 0) as file,
    ):
        file.write(b"x")


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.ENOSPC, "U134"), (errno.EDQUOT, "U134"), (errno.EROFS, "U130"), (errno.EIO, "U130")],
)
def test_codes_follow_the_cause(number, code):
    error = storage_error("a.tif", OSError(number, os.strerror(number)))
    assert error.code == code
    assert os.strerror(number) in error.what


KILLED = """
import os, sys
import numpy as np
from napari_unet.arrays.writing import write_tiff

class Deadly:
    shape, dtype = (4, 64, 64), np.dtype("u1")
    def __getitem__(self, _key):
        os.kill(os.getpid(), 9)

write_tiff(sys.argv[1], Deadly(), "ZYX")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs kill -9")
def test_a_killed_writer_leaves_the_old_file(tmp_path):
    write_tiff(tmp_path / "a.tif", np.ones((5, 5), np.uint8), "YX")
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a.tif")], check=False)
    assert done.returncode == -9
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.tif"), np.ones((5, 5)))
    left = [name for name in names(tmp_path) if name != "a.tif"]
    assert all(name.startswith(writing.TEMPORARY) for name in left)


def test_windows_holds_files_for_a_moment(tmp_path, monkeypatch):
    """Stands in for a virus scanner, which cannot be had here: two refusals, then it lets go."""
    refusals, replace = iter([True, True, False]), os.replace

    def refuse(source, target):
        if next(refusals):
            raise PermissionError(errno.EACCES, "held open")
        replace(source, target)

    monkeypatch.setattr(writing, "PATIENCE_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(writing, "_is_windows", lambda: True)
    monkeypatch.setattr(os, "replace", refuse)
    atomic_write(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"
