"""Wherever results go, the same numbers come back; unfinished ones can be gone on with."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr

from napari_unet.arrays import chunks
from napari_unet.arrays.files import open_picture
from napari_unet.config import InputError, StorageError
from napari_unet.inference.outputs import COMPLETE, Outputs, unfinished
from tests.inference.results import ATTRS, LABELS, SHARES, fill, write_both


@pytest.mark.parametrize("where", ["o.zarr", "o.ome.zarr", "memory"])
def test_the_same_numbers_come_back(tmp_path, where):
    out = {} if where == "memory" else tmp_path / where
    outputs = write_both(out)
    np.testing.assert_array_equal(np.asarray(outputs.open("classes")[:]), LABELS)
    np.testing.assert_array_equal(np.asarray(outputs.open("probabilities")[:]), SHARES)
    outputs.close()
    np.testing.assert_array_equal(np.asarray(outputs.open("classes")[:]), LABELS)
    if where != "memory":
        assert zarr.open_group(out, mode="r").attrs[COMPLETE] is True
        assert Outputs(out, outputs.names, resume=True).resumed


@pytest.mark.parametrize("name", ["o.tif", "o.ome.tif", "O.TIFF"])
def test_a_tiff_exists_when_it_is_whole(tmp_path, name):
    outputs = Outputs(tmp_path / name, ["probabilities"])
    fill(outputs, "probabilities", SHARES, ATTRS | {"axes": "KYX"})
    assert [path.name for path in tmp_path.iterdir()] == [f".napari-unet-{name}.zarr"]
    assert list(outputs.finish())[-1] == f"writing {name}: 100%"
    outputs.close()
    assert [path.name for path in tmp_path.iterdir()] == [name]
    picture = open_picture(tmp_path / name, ndim=2)
    assert (picture.axes, picture.spacing) == ("CYX", (0.5, 0.4))
    np.testing.assert_array_equal(np.asarray(picture.data), SHARES)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / name), SHARES)
    assert not isinstance(picture.data, np.ndarray)  # mapped, not read


@pytest.mark.parametrize("name", ["o.tif", "o.ome.tif"])
def test_a_finished_tiff_says_what_it_was_made_of(tmp_path, name):
    made_of = {"weights": "1a2b", "image": "zellen ä.tif", "region": [[0, 9], [0, 9]]}
    outputs = Outputs(tmp_path / name, ["classes"])
    assert outputs.made_of is None
    fill(outputs, "classes", LABELS)
    ledger = outputs.group.create_array("ledger", shape=(3, 3), dtype="u1")
    ledger.attrs["made_of"] = made_of
    outputs.close()
    again = Outputs(tmp_path / name, ["classes"], resume=True)
    assert again.made_of == made_of
    assert not again.resumed
    (tmp_path / name).write_text("no TIFF")
    assert again.made_of is None


def test_a_finished_tiff_is_known_again_and_another_one_is_not_replaced(tmp_path):
    made_of = {"weights": "1a2b"}

    def begin(made, *, resume=False):
        outputs = Outputs(tmp_path / "o.tif", ["classes"], resume=resume)
        fill(outputs, "classes", LABELS)
        outputs.group.create_array("ledger", shape=(3,), dtype="u1", attributes={"made_of": made})
        return outputs

    begin(made_of).close()
    assert Outputs(tmp_path / "o.tif", ["classes"], resume=True).is_there(made_of)
    with pytest.raises(InputError, match=r"U151: .*o\.tif is there, and was made of another"):
        Outputs(tmp_path / "o.tif", ["classes"], resume=True).is_there({"weights": "ffff"})
    begin({"weights": "ffff"})  # and stopped: it will take the place of the finished one
    assert not Outputs(tmp_path / "o.tif", ["classes"], resume=True).is_there({"weights": "ffff"})
    assert unfinished(tmp_path / "o.tif").is_dir()
    begin(made_of)  # killed after its TIFF was written
    assert Outputs(tmp_path / "o.tif", ["classes"], resume=True).is_there(made_of)
    assert [path.name for path in tmp_path.iterdir()] == ["o.tif"]
    assert not Outputs(tmp_path / "new.tif", ["classes"], resume=True).is_there(made_of)


@pytest.mark.parametrize("name", ["o.zarr", "o.ome.zarr", "O.ZARR"])
def test_a_complete_group_holds_nothing_but_the_result(tmp_path, name):
    """Readers such as napari's own take all arrays of a group for levels of one image."""
    outputs = Outputs(tmp_path / name, ["classes"])
    fill(outputs, "classes", LABELS)
    known = {"made_of": {"weights": "1a2b"}, "plan": {"way": "rows"}}
    outputs.group.create_array("ledger", shape=(3,), dtype="u1", attributes=known)
    outputs.close()
    group = Outputs(tmp_path / name, ["classes"], resume=True).group
    assert set(group) == ({"0", "1", "2"} if name == "o.ome.zarr" else {"classes"})
    assert {key: group.attrs[key] for key in known} == known
    assert group.attrs[COMPLETE] is True


@pytest.mark.parametrize("name", ["o.zarr", "o.ome.zarr", "o.tif"])
def test_what_was_written_before_is_gone_on_with(tmp_path, name):
    outputs = Outputs(tmp_path / name, ["classes"])
    array = outputs.create("classes", LABELS.shape, "u1", 2, ATTRS, (256, 256))
    array[:256] = LABELS[:256]
    again = Outputs(tmp_path / name, ["classes"], resume=True)
    assert again.resumed
    assert COMPLETE not in again.group.attrs
    array = again.create("classes", LABELS.shape, "u1", 2, ATTRS, (256, 256))
    np.testing.assert_array_equal(array[:256], LABELS[:256])
    with pytest.raises(InputError, match=r"U151: .* holds classes of \(1200, 700\), not \(9, 9\)"):
        again.create("classes", (9, 9), "u1", 2, ATTRS)
    fresh = Outputs(tmp_path / name, ["classes"])
    assert not fresh.resumed
    assert not fresh.create("classes", LABELS.shape, "u1", 2, ATTRS)[:].any()


def test_an_image_that_was_begun_but_not_entered_is_made_again(tmp_path):
    outputs = Outputs(tmp_path / "o.ome.zarr", ["values", "uncertainty"])
    outputs.create("uncertainty", (9, 9), "f4", 2, {"axes": "YX"})
    outputs.group.attrs["outputs"] = {}  # killed in between
    again = Outputs(tmp_path / "o.ome.zarr", ["values", "uncertainty"], resume=True)
    assert again.create("uncertainty", (8, 8), "f4", 2, {"axes": "YX"}).shape == (8, 8)


def test_nothing_to_resume_is_a_beginning(tmp_path):
    assert not Outputs(tmp_path / "o.zarr", ["classes"], resume=True).resumed
    with pytest.raises(InputError, match="U151"):
        Outputs({}, ["classes"], resume=True)


def test_nothing_is_written_before_it_is_needed(tmp_path):
    for name in ("o.zarr", "o.tif", "o.ome.zarr"):
        Outputs(tmp_path / name, ["classes"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["o.zarr", "o.ome.zarr", "o.tif"])
@pytest.mark.parametrize("cell", [(256, 256), (96, 4096), (592, 208), (2048, 2048)])
@pytest.mark.parametrize("sharded", [False, True])
def test_a_tile_writes_whole_chunks(tmp_path, monkeypatch, name, cell, sharded):
    monkeypatch.setattr(chunks, "SHARDED_BYTES", 0 if sharded else 2**40)
    outputs = Outputs(tmp_path / name, ["classes"])
    attrs = {"axes": "TYX", "spacing": [0.5, 0.4], "offset": [3, 10, 20]}
    array = outputs.create("classes", (2, 1200, 700), "u1", 2, attrs, cell)
    assert (array.shards is not None) == sharded
    whole = array.shards or array.chunks
    assert whole[0] == array.chunks[0] == 1
    for n, size, edge, chunk in zip(
        array.shape[1:], cell, whole[1:], array.chunks[1:], strict=True
    ):
        assert size % edge == 0 or min(edge, size) >= n
        assert edge % chunk == 0
        assert chunk <= 592


@pytest.mark.parametrize("name", ["o.zarr", "o.ome.zarr", "o.tif", None])
def test_what_is_not_computed_is_said_to_be_so(tmp_path, name):
    out = {} if name is None else tmp_path / name
    for output, empty in (("loss", np.nan), ("uncertainty", np.nan), ("values", np.nan)):
        array = Outputs(out, [output]).create(output, (8, 9), "f4", 2, ATTRS)
        np.testing.assert_array_equal(np.asarray(array[:]), np.full((8, 9), empty))
    array = Outputs(out, ["classes"]).create("classes", (8, 9), "u1", 2, ATTRS)
    assert not np.asarray(array[:]).any()


@pytest.mark.parametrize("name", ["o.zarr", "o.ome.zarr", "o.tif", None])
def test_arrays_meanwhile_are_no_result(tmp_path, name):
    out = {} if name is None else tmp_path / name
    outputs = Outputs(out, ["instances"])
    outputs.create(".classes", (64, 64), "u1", 2, ATTRS)[:] = 1
    fill(outputs, "instances", LABELS.astype(np.uint32))
    outputs.remove(".classes")
    outputs.close()
    with pytest.raises(KeyError):
        Outputs(tmp_path / "p.zarr", ["classes"]).open(".classes")
    if name == "o.tif":
        assert open_picture(out, ndim=2).data.dtype == np.uint32
    elif name is None:
        assert list(out) == ["instances"]
    else:
        assert ".classes" not in zarr.open_group(out)


@pytest.mark.parametrize(
    ("name", "names", "code"),
    [
        ("o.png", ["classes"], "U130"),
        ("o", ["classes"], "U130"),
        ("o.tif", ["classes", "probabilities"], "U151"),
        ("o.tif", ["attention"], "U151"),
    ],
)
def test_places_that_cannot_hold_it_are_refused(tmp_path, name, names, code):
    with pytest.raises(InputError, match=code):
        Outputs(tmp_path / name, names)


@pytest.mark.parametrize(
    ("name", "axes", "ndim"),
    [("o.ome.zarr", "PYX", 2), ("o.ome.zarr", "TX", 1), ("o.ome.tif", "TX", 1)],
)
def test_axes_that_ome_does_not_know_are_refused_before_anything_is_lost(
    tmp_path, name, axes, ndim
):
    write_both(tmp_path / "o.ome.zarr").close()
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=f"U151: .* {axes}"):
        Outputs(tmp_path / name, ["classes"]).create(
            "classes", (3, 64, 64)[-len(axes) :], "u1", ndim, {"axes": axes}
        )
    assert sorted(tmp_path.rglob("*")) == before


def test_the_file_it_comes_from_is_never_replaced(tmp_path):
    zarr.create_group(tmp_path / "mine.ome.zarr")
    with pytest.raises(StorageError, match="U130"):
        Outputs(tmp_path / "mine.ome.zarr", ["classes"])


FULL = """
import resource, sys
import numpy as np
from napari_unet.config import StorageError
from napari_unet.inference.outputs import Outputs

outputs = Outputs(sys.argv[1], ["values"])
values = np.random.default_rng(0).random((700, 700)).astype(np.float32)
array = outputs.create("values", values.shape, "f4", 2, {"axes": "YX"}, (100, 100))
array[:] = values
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    list(outputs.finish())
except StorageError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on file sizes")
@pytest.mark.parametrize("name", ["o.ome.zarr", "o.tif"])
def test_a_disk_that_is_full_at_the_end_is_told_and_nothing_is_lost(tmp_path, name):
    command = [sys.executable, "-c", FULL, str(tmp_path / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith(f"U134: no room to write {tmp_path / name} (")
    again = Outputs(tmp_path / name, ["values"], resume=True)
    assert again.resumed
    again.close()
    picture = open_picture(tmp_path / name, ndim=2)
    values = np.random.default_rng(0).random((700, 700)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(picture.data[...]), values)
    assert len(list(tmp_path.iterdir())) == 1


def test_leftovers_of_long_ago_are_swept(tmp_path, monkeypatch):
    from napari_unet.arrays import writing

    stale = Outputs(tmp_path / "old.tif", ["classes"])
    stale.create("classes", (8, 8), "u1", 2, ATTRS)
    (tmp_path / ".napari-unet-0.tmp").touch()
    (tmp_path / ".napari-unet-notes.zarr").mkdir()  # not ours
    Outputs(tmp_path / "new.tif", ["classes"])
    assert unfinished(tmp_path / "old.tif").is_dir()
    monkeypatch.setattr(writing, "STALE_S", -1.0)
    Outputs(tmp_path / "new.tif", ["classes"])
    assert [path.name for path in tmp_path.iterdir()] == [".napari-unet-notes.zarr"]
