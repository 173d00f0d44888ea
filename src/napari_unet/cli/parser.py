"""Commands and their flags."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from napari_unet.cli import commands, models, training
from napari_unet.config import ARCHITECTURES, RECIPES, InputError

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

    zoo = command("architectures", commands.architectures, "List the networks.")
    zoo.add_argument("--json", action="store_true")

    about = command("describe", commands.describe, "Layers, parameters and geometry of a network.")
    about.add_argument("name", metavar="NAME|MODEL")
    for flag in ("ndim", "in-channels", "classes", "base", "depth"):
        about.add_argument(f"--{flag}", type=int)
    about.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    about.add_argument("--json", action="store_true")

    weights = command("weights", commands.weights, "Write class weights, border term and sum.")
    weights.add_argument("labels", type=Path)
    weights.add_argument("out", type=Path, help="x.tif or x.npy: float32 (3, *S)")
    weights.add_argument("--w0", type=float, default=10.0)
    weights.add_argument("--sigma", type=float, default=5.0)
    weights.add_argument("--where", choices=["background", "everywhere"], default="background")
    weights.add_argument("--spacing", type=_numbers, help="pixel size per axis, such as 2.5,1,1")

    _add_train(command("train", training.train, "Train a model on images and labels."))

    _add_predict(command("predict", commands.predict, "Apply a model to an image."))
    _add_evaluate(command("evaluate", commands.evaluate, "Compare a prediction with the truth."))
    _add_models(
        command("models", models.models, "List, show, check, remove, export or import models.")
    )
    command("engine", commands.engine, "The child process that napari talks to.")
    return parser


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--image", type=Path, action="append", default=[], help="a file or folder; repeat in pairs")
    add("--labels", type=Path, action="append", default=[], help="as many as images")
    add("--out", type=Path, required=True, metavar="MODEL")
    add("--architecture", metavar="NAME", help=", ".join(ARCHITECTURES))
    add("--recipe", metavar="NAME", help=f"{', '.join(RECIPES)} (default quick)")
    add("--ndim", type=int, help="1, 2 or 3 (default 2: stacks are learned plane by plane)")
    add("--kind", choices=["instances", "classes"])
    add("--zero", choices=["background", "unlabelled"])
    add("--ignore", type=int, metavar="VALUE")
    add("--minutes", type=float)
    add("--epochs", type=int)
    add("--seed", type=int)
    add("--from", dest="parent", type=Path, metavar="MODEL", help="a model to fine-tune")
    add("--resume", action="store_true")
    add("--config", type=Path, metavar="F", help="settings as JSON, as in a model folder")
    add("--set", action="append", default=[], metavar="KEY=VALUE", help="such as model.base=8")
    add("--json", action="store_true")


def _add_predict(apply: argparse.ArgumentParser) -> None:
    apply.add_argument("model", type=Path)
    apply.add_argument("image", type=Path)
    apply.add_argument("out", type=Path, help="x.tif for one output, or x.zarr")
    apply.add_argument("--outputs", default="classes", help="classes,probabilities,attention")
    apply.add_argument("--tile", default="auto", help="edge in pixels, or auto")
    apply.add_argument("--device", default="auto")


def _add_evaluate(score: argparse.ArgumentParser) -> None:
    score.add_argument("prediction", type=Path)
    score.add_argument("truth", type=Path)
    score.add_argument("--kind", choices=["classes", "instances", "regression"], default="classes")
    score.add_argument("--ignore", type=int, help="a label value that counts nowhere")
    score.add_argument("--json", action="store_true")


def _add_models(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("action", choices=list(models.ACTIONS))
    add("model", type=Path, nargs="?", help="a model; for list: the folder to look in; for import: "
        "the zip file")  # fmt: skip
    add("file", type=Path, nargs="?", help="for export: the zip file to write")
    add("--to", type=Path, metavar="DIR", help="for import: where models are kept")
    add("--json", action="store_true")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of numbers") from error
