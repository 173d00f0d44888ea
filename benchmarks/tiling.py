"""One large image through a network, whole and in pieces, ours and MONAI's: time, error, memory.

    python benchmarks/tiling.py --out tiling.json                      # 2048 x 2048
    python benchmarks/tiling.py --sizes 4096 --repeats 1 --out tiling.json

The networks have `--base` and what `CONFIGS` says, and are trained for `--seconds` on drawn
membranes. All ways get the same image and the same weights; the whole image in one plain pass is
the reference. Times are medians of repeats that take turns in one process. Memory is the most that
a process which does nothing else holds beyond network, image and output, looked at twenty times a
second. MONAI's rows need MONAI (`pip install --no-deps monai`) and are left out without it. In one
piece 4096 x 4096 takes 10 to 15 GiB.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tables import keep, tiling_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from torch import Tensor

    from napari_unet.inference.model import Model

# This process only starts others and imports no torch: on Linux the peak of a child is at
# least what its parent held when it was started.
Results = dict[str, Any]
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "unet2015": {"depth": 4, "norm": "batch"},
    "unet": {"depth": 4, "norm": "batch", "upsampling": "transposed"},
    "attention": {"depth": 4, "norm": "batch", "upsampling": "transposed"},
}
WAYS = (
    "whole", "rows", "tiles of 512", "MONAI 512 constant", "MONAI 512 gaussian",
    "MONAI 256 gaussian",
)  # fmt: skip


def make(folder: Path, architecture: str, base: int, seconds: float) -> Results:
    """Train a model; return its configuration and size."""
    import napari_unet
    from napari_unet.arrays.samples import membranes
    from napari_unet.config import TrainConfig

    model = {"architecture": architecture, "base": base, **CONFIGS[architecture]}
    config = TrainConfig.from_recipe(
        "quick", labels={"kind": "classes"}, model=model, minutes=seconds / 60
    )
    images = [membranes((256, 256), seed=k) for k in range(4)]
    for _ in napari_unet.train(config, images, folder):
        pass
    opened = napari_unet.open_model(folder, device="cpu")
    parameters = sum(p.numel() for p in opened.network.parameters())
    return {"model": opened.card.model.model_dump(mode="json"), "parameters": parameters}


class Subject:
    """A network, an image and an output, and the ways from one to the other.

    The image is as large as the network wants it for `size` pixels of output; what it is not given
    is zero to all ways alike.
    """

    def __init__(self, folder: Path, size: int) -> None:
        import torch

        import napari_unet
        from napari_unet.arrays.samples import membranes

        self.model: Model = napari_unet.open_model(folder, device="cpu")
        self.network = self.model.network.to(memory_format=torch.contiguous_format)
        geometry = self.model.geometry
        self.lost = geometry.lost[0]
        self.size = geometry.input_size(0, size) - 2 * self.lost
        image = membranes((self.size + 2 * self.lost,) * 2, seed=99)[0]
        self.image = torch.from_numpy(self.model_input(image))[None]
        self.out = torch.empty(1, self.model.card.model.classes, self.size, self.size)

    def model_input(self, image: Any) -> Any:
        """Return grey values as the network wants them, (1, Y, X) float32."""
        from napari_unet.arrays.intensity import measure_intensity

        image = image[None].astype("float32")
        return measure_intensity(image, self.model.card.normalisation).apply(image)

    def go(self, way: str) -> None:
        """Fill the output."""
        import torch

        with torch.inference_mode():
            if way == "whole":
                self.out.copy_(self.network(self.image))
            elif way.startswith("MONAI"):
                self.slide(*way.split()[1:])
            else:
                self.flow(self.size if way == "rows" else 512)

    def flow(self, edge: int) -> None:
        """Let tiles flow through the network, or the whole image where they are as large."""
        import torch

        from napari_unet.inference.plan import PUSHED, choose_rows
        from napari_unet.models.strips import FlowRunner, Mode

        config, geometry = self.model.card.model, self.model.geometry
        rows = choose_rows((edge,) * 2, geometry, PUSHED[2])
        mode = Mode(torch.device("cpu"), rows=rows)
        runner = FlowRunner(self.network, config, geometry, (self.size,) * 2, mode)
        runner.first = (-self.lost,) * 2  # no frame: the whole has none
        runner.size = (self.size + 2 * self.lost,) * 2
        for y in range(0, self.size, edge):
            for x in range(0, self.size, edge):
                window = (slice(y, min(y + edge, self.size)), slice(x, min(x + edge, self.size)))
                flow = runner.flow(window)
                left, right = flow.box[1]
                for a, b in flow.blocks:
                    block = self.image[:, :, a:b, left:right]
                    for _, row, piece in flow.push(block):
                        self.out[:, :, row : row + piece.shape[2], window[1]] = piece

    def slide(self, edge: str, weighting: str) -> None:
        """Let MONAI slide a window over the image; a valid network is given mirrored windows."""
        from monai.inferers import sliding_window_inference
        from torch.nn import functional

        margin = self.lost
        wanted = self.model.geometry.input_size(0, int(edge))

        def predict(x: Tensor) -> Tensor:
            sides = [margin, wanted - int(edge) - margin] * 2
            result: Tensor = self.network(functional.pad(x, sides, mode="reflect"))
            return result[:, :, : int(edge), : int(edge)]

        inner = slice(margin, margin + self.size)
        image = self.image[:, :, inner, inner]
        predictor = predict if margin else self.network
        roi = (int(edge),) * 2
        self.out.copy_(
            sliding_window_inference(image, roi, 1, predictor, overlap=0.25, mode=weighting)
        )

    def redundant(self, way: str) -> float:
        """Return the multiply-adds beyond those of the whole, as a share."""
        import torch

        from napari_unet.models.schedule import count_macs, find_boxes
        from napari_unet.models.strips import FlowRunner, Mode

        config, geometry = self.model.card.model, self.model.geometry
        shape = (self.size,) * 2
        runner = FlowRunner(self.network, config, geometry, shape, Mode(torch.device("cpu")))
        graph = runner.graph

        def macs(size: int, box: tuple[tuple[int, int], ...]) -> float:
            sizes = graph.sizes((size + 2 * self.lost,) * 2)
            return count_macs(graph, find_boxes(graph, sizes, {"logits": box}))

        whole = macs(self.size, ((0, self.size),) * 2)
        if way in ("whole", "rows"):
            return 0.0
        if way.startswith("MONAI"):
            edge = int(way.split()[1])
            steps = -(-(self.size - edge) // int(edge * 0.75)) + 1
            return steps**2 * macs(edge, ((0, edge),) * 2) / whole - 1
        cuts = [(a, min(a + 512, self.size)) for a in range(0, self.size, 512)]
        return sum(macs(self.size, (y, x)) for y in cuts for x in cuts) / whole - 1


def measure_peak(folder: Path, size: int, way: str) -> float:
    """Return the peak of the memory beyond network, image and output, in MiB."""
    import torch

    from napari_unet.inference.peak import PeakMemory

    subject = Subject(folder, size)
    subject.out.zero_()
    if way.startswith("MONAI"):
        import monai.inferers  # noqa: F401 - its import is no memory of the prediction
    with PeakMemory(torch.device("cpu")) as peak:
        subject.go(way)
    return peak.mib


def compare(folder: Path, size: int, ways: list[str], repeats: int) -> list[Results]:
    """Go all ways in turns; return a row for each."""
    import torch

    subject = Subject(folder, size)
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    rows: dict[str, Results] = {}
    whole = torch.empty(0)
    for _ in range(repeats):
        for way, each in seconds.items():
            start = time.perf_counter()
            subject.go(way)
            each.append(time.perf_counter() - start)
            if way == "whole":
                whole = subject.out.clone()
            elif way not in rows:
                rows[way] = differ(subject.out, whole)
    medians = {way: statistics.median(each) for way, each in seconds.items()}
    return [
        {"way": way, "time": medians[way] / medians["whole"], "whole_s": medians["whole"],
         "repeats": repeats, "size_px": subject.size, "redundant": subject.redundant(way),
         **rows.get(way, {"difference": 0.0, "logits": 0.0, "changed_px": 0})}
        for way in ways
    ]  # fmt: skip


def differ(out: Tensor, whole: Tensor) -> Results:
    """Return the largest differences from the whole, and how many pixels change class."""
    change = (out.softmax(1) - whole.softmax(1)).abs().max()
    return {
        "difference": float(change),
        "logits": float((out - whole).abs().max() / whole.std()),
        "changed_px": int((out.argmax(1) != whole.argmax(1)).sum()),
    }


STEPS: Mapping[str, Callable[..., Any]] = {
    "make": make,
    "peak": measure_peak,
    "compare": compare,
}


def start(step: str, folder: Path, *arguments: Any) -> Any:
    """Do one step in a process of its own; return what it found."""
    order = [sys.executable, __file__, "--step", step, json.dumps([str(folder), *arguments])]
    child = subprocess.run(order, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(child.stdout.splitlines()[-1])


def measure(folder: Path, architecture: str, arguments: argparse.Namespace) -> Iterable[Results]:
    """Yield the rows of the table of one network."""
    asked = [way for way in WAYS if way in ("whole", *arguments.ways)]
    ways = [way for way in asked if not way.startswith("MONAI") or find_spec("monai")]
    made = start("make", folder, architecture, arguments.base, arguments.seconds)
    for size in arguments.sizes:
        for row in start("compare", folder, size, ways, arguments.repeats):
            peak = start("peak", folder, size, row["way"])
            name = f"tiling/{architecture}/{size}/{WAYS.index(row['way'])} {row['way']}"
            yield {"name": name, "benchmark": "tiling", "architecture": architecture, **made,
                   **row, "peak_mib": peak}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[2048], help="pixels per edge")
    parser.add_argument("--architectures", nargs="+", default=list(CONFIGS), choices=list(CONFIGS))
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--base", type=int, default=32, help="filters of the first level")
    parser.add_argument("--seconds", type=float, default=30, help="of training")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="results, as JSON")
    parser.add_argument("--step", nargs=2, metavar=("STEP", "JSON"), help="do one step here")
    arguments = parser.parse_args()
    if arguments.step:
        folder, *rest = json.loads(arguments.step[1])
        print(json.dumps(STEPS[arguments.step[0]](Path(folder), *rest)))
        return 0
    done, failed = [], 0
    with tempfile.TemporaryDirectory() as scratch:
        for architecture in arguments.architectures:
            try:
                for row in measure(Path(scratch) / architecture, architecture, arguments):
                    done.append(row)
                    if arguments.out:
                        keep(arguments.out, row)
            except subprocess.CalledProcessError as error:
                words = f"{architecture}: {error.cmd[3]} ended with status {error.returncode}"
                print(words, file=sys.stderr)
                failed = 1
    print(tiling_table(done))
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
