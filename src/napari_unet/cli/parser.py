"""Commands and their flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from napari_unet.cli import commands, comparing, describing, models, scoring, training
from napari_unet.cli.batch import FORMATS
from napari_unet.cli.predicting import predict, read_region
from napari_unet.config import ARCHITECTURES, FORMULAS, RECIPES, InputError
from napari_unet.config.evaluation import Kind
from napari_unet.config.prediction import Backend, Output, Precision

if TYPE_CHECKING:
    from collections.abc import Callable


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        raise InputError("U170", f"{self.prog}: {message}", f"see {self.prog} --help")


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of all commands; each sets `run`, a function of the arguments."""
    parser = _Parser(prog="napari-unet", description="Train U-Nets and apply them to any image.")
    made = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> Any:
        one = made.add_parser(name, help=text, description=text)
        one.set_defaults(run=run)
        return one

    demo = command("demo", commands.demo, "Train, predict and show, with or without a display.")
    demo.add_argument("--out", type=Path, default=Path("demo"), metavar="DIR")
    demo.add_argument("--seconds", type=float, default=60, help="how long to train")
    demo.add_argument("--sample", default="cells", metavar="NAME|DIR", help="a sample, or a folder "
                      "with images/ and labels/")  # fmt: skip

    zoo = command("architectures", describing.architectures, "List the networks.")
    zoo.add_argument("--json", action="store_true")

    about = command(
        "describe", describing.describe, "Layers, parameters, memory and geometry of a network."
    )
    _add_describe(about)
    _add_weights(command("weights", commands.weights, "Write class weights, border term and sum."))
    _add_train(command("train", training.train, "Train a model on images and labels."))
    _add_predict(command("predict", predict, "Apply a model to images of any size."))
    _add_evaluate(command("evaluate", scoring.evaluate, "Compare a prediction with the truth."))
    _add_compare(
        command("compare", comparing.compare, "Train several networks alike and score them.")
    )
    _add_models(
        command("models", models.models, "List, show, check, remove, export or import models.")
    )
    there = command("devices", commands.devices, "List where networks can compute, and try it out.")
    there.add_argument("--json", action="store_true")
    command("engine", commands.engine, "The child process that napari talks to.")
    return parser


def _add_describe(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME|MODEL")
    add("--variant", metavar="NAME", help="a form of the architecture (see architectures)")
    for flag in ("ndim", "in-channels", "classes", "base", "depth"):
        add(f"--{flag}", type=int)
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="such as norm=batch")
    add("--json", action="store_true")
    add("--svg", type=Path, metavar="FILE", help="draw the network as in the 2015 figure")


def _add_weights(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("labels", type=Path)
    add("out", type=Path, help="x.tif or x.npy: float32 (3, *S)")
    add("--formula", choices=list(FORMULAS), default="ronneberger2015")
    add("--w0", type=float, help="default 10; 50 of falk2019")
    add("--sigma", type=float, help="default 5; 6 of falk2019")
    add("--where", choices=["background", "everywhere"], default="background")
    add("--spacing", type=_numbers, help="pixel size per axis, such as 2.5,1,1")


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_learning(parser)
    add("--out", type=Path, required=True, metavar="MODEL")
    add("--architecture", metavar="NAME", help=", ".join(ARCHITECTURES))
    add("--variant", metavar="NAME", help="a form of the architecture (see architectures)")
    add("--from", dest="parent", type=Path, metavar="MODEL", help="a model to fine-tune")
    add("--resume", action="store_true")
    add("--folds", type=int, metavar="K", help="train K models in OUT/fold-1 to OUT/fold-K, each "
        "with another part of the data held out, and print their scores")  # fmt: skip


def _add_compare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    _add_learning(parser)
    parser.set_defaults(architecture=None, variant=None, folds=None)
    add("--architectures", required=True, metavar="A,B,C", help="names, or NAME:VARIANT")
    add("--test-image", type=Path, action="append", default=[], metavar="F", help="what to score "
        "on, a file or folder; default: the images held out from training")  # fmt: skip
    add("--test-labels", type=Path, action="append", default=[], metavar="F")
    add("--out", type=Path, metavar="DIR", help="for models and tables (default comparison)")


def _add_learning(parser: argparse.ArgumentParser) -> None:
    """Add what a training needs to know, of one network or of several."""
    add = parser.add_argument
    add("--image", type=Path, action="append", default=[], help="a file or folder; repeat in pairs")
    add("--labels", type=Path, action="append", default=[], help="as many as images; in "
        "regression, images")  # fmt: skip
    add("--recipe", metavar="NAME", help=f"{', '.join(RECIPES)} (default quick)")
    add("--ndim", type=int, help="1, 2 or 3 (default 2: stacks are learned plane by plane)")
    add("--kind", choices=["auto", "instances", "classes", "regression"], help="of the labels "
        "(default auto: objects or classes, whichever they look like)")  # fmt: skip
    add("--zero", choices=["background", "unlabelled"])
    add("--ignore", type=int, metavar="VALUE")
    add("--class", dest="names", action="append", default=[], metavar="VALUE=NAME[:COLOUR]",
        help="what a label value is called, such as 1=nucleus:#ff0000; repeat")  # fmt: skip
    add("--shares", type=_numbers, metavar="A,B,...", help="how often each pair is drawn relative "
        "to its labelled area (default all alike)")  # fmt: skip
    add("--minutes", type=float, help="how long to train a network")
    add("--epochs", type=int)
    add("--seed", type=int)
    add("--config", type=Path, metavar="F", help="settings as JSON, as in a model folder")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="such as model.base=8")
    add("--json", action="store_true")


def _add_predict(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path)
    add("image", nargs="+", help="a file; or several, a folder, @FILE with a path on each line")
    add("out", type=Path, help="x.zarr, x.ome.zarr, or x.tif for one output; of several images, a "
        "folder, whose results are named after them")  # fmt: skip
    add("--outputs", metavar="A,B", help=f"{', '.join(get_args(Output))} (default classes; of a "
        "regression model values)")  # fmt: skip
    add("--format", choices=FORMATS, help="of the results of several images (default zarr):")
    add("--region", type=read_region, metavar="A:B,...", help="start:stop in pixels for each axis "
        "of the result, leading axes first, such as 0:10,512:1024,:")  # fmt: skip
    add("--labels", type=Path, metavar="F", help="the truth, for the output loss: a file or folder")
    add("--axes", metavar="TZYX", help="of the image, where its file does not name them or wrongly")
    add("--level", type=_count, metavar="N", help="of the pyramid of an OME-Zarr; 0 is the finest")
    add("--resume", action="store_true", help="compute only what an interrupted run left undone")
    add("--plan", action="store_true", help="only say how it would be computed")
    add("--json", action="store_true", help="print a document with a row for each image")
    _add_computing(parser)


def _add_computing(parser: argparse.ArgumentParser) -> None:
    """Add what changes how a prediction is computed and, beyond rounding, not its result."""
    add = parser.add_argument_group("how it is computed").add_argument
    add("--tile", metavar="N", help="edge of the tiles in pixels; rows: the image streams through "
        "the network; auto (default): the faster")  # fmt: skip
    add("--memory", type=float, metavar="GIB", help="at most, beyond the image and the network "
        "(default half of what is free)")  # fmt: skip
    add(
        "--precision",
        choices=get_args(Precision),
        help="of the numbers in the network (default auto):",
    )
    add("--backend", choices=get_args(Backend), help="what computes on a CPU (default auto):")
    add("--device", help="auto (default), cpu, cuda, cuda:1 or mps")
    add("--threads", type=int, metavar="N", help="of the CPU (default all cores)")
    add("--config", type=Path, metavar="F", help="settings of the prediction as JSON")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="such as passes=dropout")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--workers", type=_positive, metavar="N", help="processes on this machine")
    where.add_argument("--scheduler", metavar="ADDRESS", help="of a running dask cluster, such as "
        "tls://host:8786")  # fmt: skip


def _add_evaluate(score: argparse.ArgumentParser) -> None:
    score.add_argument("prediction", type=Path, help="a file, or a folder of them")
    score.add_argument("truth", type=Path, help="as many files, paired in the order of their names")
    score.add_argument("--kind", default="classes", choices=get_args(Kind))
    score.add_argument("--ignore", type=int, help="a label value that counts nowhere")
    score.add_argument("--csv", type=Path, metavar="FILE", help="write the table, too")
    score.add_argument("--json", action="store_true")


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("action", choices=list(models.ACTIONS))
    add("model", type=Path, nargs="?", help="a model; for list: the folder to look in; for import: "
        "the zip file")  # fmt: skip
    add("file", type=Path, nargs="?", help="for export: the zip file to write")
    add("--to", type=Path, metavar="DIR", help="for import: where models are kept")
    add("--image", metavar="F", help="for check: predict a part of it in tiles and as a whole")
    add("--tile", metavar="N", help="for check --image, as in predict")
    add("--json", action="store_true")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if _count(text) == 0:
        raise argparse.ArgumentTypeError("0 is none: leave it out")
    return int(text)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from error
