"""Tiles write whole chunks, and whole shards."""

from __future__ import annotations

import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.arrays import chunks
from napari_unet.arrays.chunks import CHUNK, chunk_shape, create_array


@given(st.lists(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), min_size=1, max_size=3))
@settings(deadline=None)
def test_chunks_divide_shards_and_shards_divide_cells(axes):
    shape, cell = ([pair[i] for pair in axes] for i in (0, 1))
    found, shards = chunk_shape(shape, cell)
    for n, size, chunk, shard in zip(shape, cell, found, shards, strict=True):
        assert shard % chunk == 0
        assert chunk <= max(n, size)
        if size < n:  # else no other tile writes here
            assert shard == size
        else:
            assert shard >= n


def test_chunks_are_of_a_good_size_where_tiles_allow_it():
    assert chunk_shape((9000, 9000), (4096, 1504)) == ((512, 376), (4096, 1504))
    assert chunk_shape((9000, 300), None) == ((512, 300), (9216, 300))
    assert chunk_shape((200, 200, 200), (128, 96, 999)) == ((64, 48, 64), (128, 96, 256))


def test_large_arrays_have_few_files(tmp_path, monkeypatch):
    group = zarr.create_group(tmp_path / "a.zarr")
    kinds = {"cell": (1024, 2048), "ndim": 2}
    small = create_array(group, "small", (3, 2048, 2048), "u1", **kinds)
    assert (small.chunks, small.shards) == ((1, 512, 512), None)
    monkeypatch.setattr(chunks, "SHARDED_BYTES", 3 * 2048 * 2048 - 1)
    large = create_array(group, "large", (3, 2048, 2048), "u1", **kinds)
    assert (large.chunks, large.shards) == ((1, CHUNK[2], CHUNK[2]), (1, 1024, 2048))
    large[1, :1024] = 1
    assert len([p for p in (tmp_path / "a.zarr/large/c").rglob("*") if p.is_file()]) == 1
