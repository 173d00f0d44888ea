"""Images that no memory holds: how much memory a prediction takes, and what it reads.

    python benchmarks/large.py --out large.json                    # a part of 8192 x 8192 pixels
    python benchmarks/large.py --disk DIR --out large.json         # a part of 8 GiB on disk
    python benchmarks/large.py --disk DIR --edge 65536 --base 2 --depth 2 --outputs classes  # whole

The first image has 100,000 x 100,000 pixels: a zarr array whose chunks are made when they are
asked for, and counted. The second is written to DIR (65,536 x 65,536 pixels of 16 bits) and stays
there; with `--disk` it is the only one. A square in the middle is predicted, in rows and in tiles,
into a zarr on disk. Reads are counted from the first tile on: before, grey values are measured in
blocks spread over the image. Memory is that of a process which does nothing else, less what it
held with the model opened; its slope is fitted between a quarter and the end of the tiles.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from tables import keep, large_table
from zarr.abc.store import Store
from zarr.storage import LocalStore, MemoryStore, WrapperStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

EDGE, CHUNK = 100_000, 512
DISK_EDGE = 2**16
Results = dict[str, Any]


class Drawn(MemoryStore):
    """A store of an image that is drawn when it is read, in chunks of an edge in pixels."""

    def __init__(self, chunk: int) -> None:
        super().__init__()
        self.chunk = chunk

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return the metadata, or a chunk drawn anew."""
        if not key.startswith("c/"):
            return await super().get(key, prototype, byte_range)
        _, row, column = key.split("/")
        return prototype.buffer.from_bytes(draw(int(row), int(column), self.chunk).tobytes())


class Counted(WrapperStore[Store]):
    """A store whose `reads` count how often each chunk is read."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reads: dict[str, int] = {}

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Return what the store has."""
        if key.startswith("c/"):
            self.reads[key] = self.reads.get(key, 0) + 1
        return await self._store.get(key, prototype, byte_range)


def draw(row: int, column: int, chunk: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Draw a chunk: rings and noise that depend on its place only."""
    y = np.arange(row * chunk, (row + 1) * chunk)[:, None] % 6000
    x = np.arange(column * chunk, (column + 1) * chunk)[None] % 6000
    rings = 90 + 60 * np.sin(np.hypot(y - 3000, x - 3000) / 7)
    noise = np.random.default_rng([row, column]).normal(0, 12, rings.shape)
    return np.clip(rings + noise, 0, 255).astype(np.uint8)


def make(folder: Path, base: int, depth: int) -> None:
    """Make a model; what it has learned does not matter here."""
    import napari_unet
    from napari_unet.arrays.samples import membranes
    from napari_unet.config import TrainConfig

    model = {"base": base, "depth": depth, "norm": "batch"}
    config = TrainConfig.from_recipe("quick", labels={"kind": "classes"}, model=model, epochs=1)
    for _ in napari_unet.train(config, [membranes((128, 128))], folder):
        pass


def write_disk(path: Path, chunk: int) -> None:
    """Write the image of 8 GiB, band by band."""
    array = zarr.create_array(
        store=str(path), shape=(DISK_EDGE,) * 2, chunks=(chunk,) * 2, dtype=np.uint16,
        compressors=None, dimension_names=("y", "x"),
    )  # fmt: skip
    for row in range(DISK_EDGE // chunk):
        drawn = np.hstack([draw(row, column, chunk) for column in range(4)])
        array[row * chunk : (row + 1) * chunk] = np.tile(drawn, DISK_EDGE // chunk // 4)


def open_image(image: str, chunk: int) -> tuple[Counted, Any]:
    """Open one of the two images; return its store, too."""
    if image != "drawn":
        store = Counted(LocalStore(image, read_only=True))
        return store, zarr.open_array(store, mode="r")
    store = Counted(Drawn(chunk))
    return store, zarr.create_array(
        store=store, shape=(EDGE,) * 2, chunks=(chunk,) * 2, dtype=np.uint8, compressors=None
    )


def predict(
    folder: Path, scratch: Path, image: str, chunk: int, way: str, edge: int, outputs: list[str]
) -> Results:
    """Predict a square in the middle of an image; return memory, reads and time."""
    import psutil

    import napari_unet
    from napari_unet.arrays.axes import Picture
    from napari_unet.config import PredictConfig
    from napari_unet.events import Finished, Started, TileDone

    store, data = open_image(image, chunk)
    start = (data.shape[0] - edge) // 2 // chunk * chunk
    model = napari_unet.open_model(folder, device="cpu")
    process = psutil.Process()
    before = process.memory_info().rss
    config = PredictConfig(
        outputs=outputs, tile="rows" if way == "rows" else 512,
        region=((start, start + edge),) * 2, memory_gib=0.75,
    )  # fmt: skip
    held, began, sampled = [], time.perf_counter(), 0
    out, summary = scratch / f"{way}.zarr", {}
    for event in napari_unet.predict(model, Picture(data, "YX", name="image"), out, config):
        if isinstance(event, Started):  # grey values were measured all over the image
            sampled, store.reads = len(store.reads), {}
        if isinstance(event, TileDone):
            held.append((event.done / event.total, process.memory_info().rss - before))
        if isinstance(event, Finished):
            summary = dict(event.summary)
    shares, sizes = np.transpose([pair for pair in held if pair[0] >= 0.25])
    margin = model.geometry.context[0]
    slope = np.polyfit(shares, sizes, 1)[0] if len(shares) > 2 else 0.0
    return {
        "px": edge**2, "way": way, "outputs": outputs, "tiles": summary["tiles"],
        "image": "drawn" if image == "drawn" else "on disk",
        "image_gib": data.nbytes / 2**30, "edge": edge, "peak_mib": peak_mib() - before / 2**20,
        "slope_mib": slope / 2**20, "plan_mib": summary["plan"]["bytes"] / 2**20,
        "seconds": time.perf_counter() - began, "tile": summary["plan"]["tile"],
        "sampled": sampled, "base": model.card.model.base, "depth": model.card.model.depth,
        **count_reads(store.reads, chunk, range(start, start + edge), data.shape[0], margin),
    }  # fmt: skip


def peak_mib() -> float:
    """Return the largest memory that this process has had, in MiB."""
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def count_reads(
    reads: dict[str, int], chunk: int, square: range, size: int, margin: int
) -> Results:
    """Return how often chunks were read, and how many of them lie beyond square and margin."""
    first, last = (
        max(square.start - margin, 0) // chunk,
        (min(square.stop + margin, size) - 1) // chunk,
    )
    places = [tuple(map(int, key.split("/")[1:])) for key in reads]
    beyond = [place for place in places if not all(first <= k <= last for k in place)]
    return {
        "chunks": len(places) - len(beyond), "beyond": len(beyond),
        "needed": (last - first + 1) ** 2, "reads": sum(reads.values()),
        "most": max(reads.values()),
    }  # fmt: skip


def start(step: str, *arguments: Any) -> Any:
    """Do one step in a process of its own; return what it found."""
    order = [sys.executable, __file__, "--step", step, json.dumps(arguments, default=str)]
    child = subprocess.run(order, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def do(step: str, arguments: list[Any]) -> Any:
    """Do one step in this process."""
    if step == "make":
        return make(Path(arguments[0]), *arguments[1:])
    if step == "disk":
        return write_disk(Path(arguments[0]), *arguments[1:])
    return predict(Path(arguments[0]), Path(arguments[1]), *arguments[2:])


def measure(scratch: Path, arguments: argparse.Namespace) -> Iterator[Results]:
    """Yield the rows of the table."""
    image, chunk = "drawn", arguments.chunk
    if arguments.disk:
        image = str(arguments.disk / "large-benchmark.zarr")
        start("disk", image, chunk)
    start("make", scratch / "model", arguments.base, arguments.depth)
    for way in ("tiles", "rows"):
        row = start("predict", scratch / "model", scratch, image, chunk, way,
                    arguments.edge, arguments.outputs)  # fmt: skip
        yield {"name": f"large/{row['image']}/{row['edge']:06}/{way}", "benchmark": "large",
               "architecture": "unet", **row}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=8192, help="of the square, in pixels")
    parser.add_argument(
        "--chunk", type=int, default=CHUNK, metavar="PX", help="edge of the image's chunks"
    )
    parser.add_argument("--base", type=int, default=8, help="filters of the first level")
    parser.add_argument("--depth", type=int, default=3, help="poolings")
    parser.add_argument("--outputs", nargs="+", default=["classes", "probabilities"])
    parser.add_argument("--disk", type=Path, help="take an image of 8 GiB, written here")
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "JSON"), help="do one step here")
    arguments = parser.parse_args()
    if arguments.step:
        print(json.dumps(do(arguments.step[0], json.loads(arguments.step[1]))))
        return
    done = []
    with tempfile.TemporaryDirectory() as scratch:
        for row in measure(Path(scratch), arguments):
            done.append(row)
            if arguments.out:
                keep(arguments.out, row)
    print(large_table(done))


if __name__ == "__main__":
    main()
