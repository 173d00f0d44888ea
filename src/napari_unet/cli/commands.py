"""What the smaller commands do: `demo`, `weights`, `devices`, `engine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.cli.printing import in_words, print_json, print_lines
from napari_unet.config import FORMULAS

if TYPE_CHECKING:
    import argparse


def demo(arguments: argparse.Namespace) -> int:
    """Run the demonstration in a process of its own, on a virtual display if need be."""
    from napari_unet.cli.demo import run_demo

    return run_demo(arguments.out, arguments.seconds, arguments.sample)


def weights(arguments: argparse.Namespace) -> None:
    """Write class weights, border term and their sum as (3, *S)."""
    import numpy as np

    from napari_unet.arrays.files import open_picture
    from napari_unet.arrays.labels import open_labels_array
    from napari_unet.arrays.writing import check_apart, check_writable, write_array
    from napari_unet.targets.weights import weight_map

    check_apart(arguments.out, arguments.labels)
    check_writable(arguments.out)
    picture = open_picture(arguments.labels, ndim=1, labels=True)  # 1-D to 3-D, taken whole
    labels = np.asarray(open_labels_array(picture.data, name=picture.name))
    paper = FORMULAS[arguments.formula]
    maps = weight_map(
        labels,
        paper["w0"] if arguments.w0 is None else arguments.w0,
        paper["sigma"] if arguments.sigma is None else arguments.sigma,
        arguments.where,
        arguments.spacing or None,
        formula=arguments.formula,
    )
    write_array(arguments.out, np.stack([maps.classes, maps.border, maps.total]))


def devices(arguments: argparse.Namespace) -> None:
    """List the devices there are, and whether each computes what the CPU computes."""
    from napari_unet.models.device import list_devices
    from napari_unet.models.trial import examine

    found = [
        (device.name, device.title, round(device.memory_gib, 1), examine(device.name))
        for device in list_devices()
    ]
    if arguments.json:
        names = ("name", "title", "memory_gib", "fault")
        print_json([dict(zip(names, row, strict=True)) for row in found])
        return
    lines = [(name, title, in_words(gib), fault or "good") for name, title, gib, fault in found]
    print_lines([("name", "what", "GiB", "tried out"), *lines], [True, True, False, True])


def engine(_arguments: argparse.Namespace) -> None:
    """Become the child process."""
    from napari_unet.engine.server import main as serve

    serve()
