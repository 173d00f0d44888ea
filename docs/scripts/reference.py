"""Write the reference pages from the running program, so that they cannot lie.

Run as `python docs/scripts/reference.py`; `tests/test_docs.py` notices when a page is out of date.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from napari_unet.cli.parser import make_parser
from napari_unet.config import (
    ARCHITECTURES,
    LOSSES,
    RECIPES,
    Config,
    ModelConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unet.models.describe import describe
from napari_unet.models.geometry import measure

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pydantic.fields import FieldInfo

PAGES = Path(__file__).resolve().parents[1] / "reference"
GENERATED = "<!-- written by docs/scripts/reference.py: change the program, not this page -->\n\n"


def main() -> None:
    for name, text in pages().items():
        PAGES.joinpath(name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    made = {
        "settings.md": settings_page(),
        "networks.md": networks_page(),
        "command-line.md": command_line_page(),
    }
    return {name: GENERATED + text.strip() + "\n" for name, text in made.items()}


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines) + "\n"


def settings_page() -> str:
    recipes = "\n".join(recipe(name) for name in RECIPES)
    return f"""# Settings

Every setting has one definition. The form in the window, the flag `--set name=value`,
`config.json` in a model folder and this page are made from it. Names with a dot are nested:
`--set optimiser.rate=0.001` in the shell is, in Python,
`TrainConfig.from_recipe("quick", optimiser={{"rate": 0.001}})`.

## Training

{configs_of(TrainConfig)}
The network of a run is `model`:

{settings_of(ModelConfig, "model.")}
What is left out takes the value of the architecture's paper, see [Networks](networks.md).

## Losses

{", ".join(f"`{name}`" for name in LOSSES)}: what `loss` can be.

## Recipes

A recipe is a set of settings by name. Whatever it does not name keeps its default, and whatever
you name yourself wins.

{recipes}
## Prediction

{settings_of(PredictConfig, "")}"""


def configs_of(kind: type[Config]) -> str:
    """Return the table of a config, then those of its parts, but for `model`."""
    parts = {
        name: field.annotation
        for name, field in kind.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Config)
    }
    own = settings_of(kind, "", leave=parts)
    inner = [
        f"### `{name}`\n\n{part.__doc__}\n\n{settings_of(part, name + '.')}"
        for name, part in parts.items()
        if name != "model"
    ]
    return "\n".join([own, *inner])


def settings_of(kind: type[Config], prefix: str, leave: Iterable[str] = ()) -> str:
    """Return a table of the settings of one config."""
    ranges = kind.model_json_schema()["properties"]
    rows = [
        (f"`{prefix}{name}`", allowed(field, ranges[name]), default(field), cell(field.description))
        for name, field in kind.model_fields.items()
        if name not in leave
    ]
    return table(["setting", "may be", "default", "what it does"], rows)


def allowed(field: FieldInfo, schema: dict[str, Any]) -> str:
    """Say in words what a field accepts."""
    words = list(kinds(field.annotation))
    bounds = {k: v for form in schema.get("anyOf", [schema]) for k, v in form.items()}
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    limits = [f"{sign} {bounds[key]:,}" for key, sign in signs.items() if key in bounds]
    return ", ".join(words) + (f" ({', '.join(limits)})" if limits else "")


def kinds(kind: Any) -> Iterator[str]:
    if get_origin(kind) is Literal:
        yield from (f"`{choice}`" for choice in get_args(kind))
    elif get_origin(kind) is tuple:
        yield "several of " + ", ".join(kinds(get_args(kind)[0]))
    elif hasattr(kind, "__metadata__"):
        yield from kinds(get_args(kind)[0])
    elif get_args(kind):
        for part in get_args(kind):
            yield from kinds(part)
    else:
        names = {int: "integer", float: "number", bool: "yes or no", str: "text", NoneType: "none"}
        yield names[kind]


def default(field: FieldInfo) -> str:
    value = field.get_default()
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{json.dumps(value).strip(chr(34))}`".replace("null", "none")


def cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("*", "\\*")


def recipe(name: str) -> str:
    text = json.dumps(RECIPES[name], indent=2)
    return f"### `{name}`\n\n```json\n{text}\n```\n"


def networks_page() -> str:
    zoo = [
        (
            f"`{name}`",
            a.title,
            cell(a.paper),
            ", ".join(f"{k} = {v}" for k, v in a.defaults.items()),
        )
        for name, a in ARCHITECTURES.items()
    ]
    return f"""# Networks

{table(["name", "title", "paper", "its settings"], zoo)}
All of them come in 1-D, 2-D and 3-D from one code. Numbers on this page are counted and measured on
the networks that the program builds; `napari-unet describe NAME` prints the same.

## Parameters

For one channel and two classes, with the settings above:

{table(["network", "1-D", "2-D", "3-D"], [count_row(name) for name in ARCHITECTURES])}
## Geometry

Pixels per axis, measured (see [Overlap-tile](../concepts/overlap-tile.md)). *Sees* is a formula for
what an aligned block of outputs sees beside it: 6 · 2<sup>*d*</sup> − 2 with *d* poolings, and
6 · 2<sup>*d*</sup> − 4, all of which is the lost border, where convolutions are valid. *Margin* was
measured without it, and rounded up to a multiple of *step*.

{table(["network", "poolings", "step", "sees", "margin", "lost"], geometry_rows())}
## The network of 2015, layer by layer

572 pixels in, 388 out. A convolution with a kernel of *k* pixels has *k* · inputs weights and one
bias for each of its outputs. The columns in the middle calculate that from the figure of the
paper; the last two are counted on the network.

{layer_table()}"""


def count_row(name: str) -> list[str]:
    configs = [ModelConfig(architecture=name, ndim=ndim) for ndim in (1, 2, 3)]
    return [f"`{name}`", *(f"{describe(config)['parameters']:,}" for config in configs)]


def geometry_rows() -> Iterator[list[Any]]:
    for name in ARCHITECTURES:
        for depth in (2, 3, 4, 5):
            g = measure(ModelConfig(architecture=name, ndim=1, depth=depth))
            sees = 6 * 2**depth - (4 if any(g.lost) else 2)
            yield [f"`{name}`", depth, *g.step, sees, *g.margin, *g.lost]


def figure_1() -> Iterator[tuple[str, int, int, int]]:
    """Yield the layers of the paper's Fig. 1: what, pixels of the kernel, inputs, outputs."""
    widths = [64, 128, 256, 512, 1024]
    for before, width in zip([1, *widths], widths, strict=False):
        yield "3 × 3", 9, before, width
        yield "3 × 3", 9, width, width
    for width in reversed(widths[:-1]):
        yield "2 × 2 up", 4, 2 * width, width
        yield "3 × 3", 9, 2 * width, width
        yield "3 × 3", 9, width, width
    yield "1 × 1", 1, 64, 2


def layer_table() -> str:
    card = describe(ModelConfig(architecture="unet2015"))
    counted = [layer for layer in card["layers"] if layer["parameters"]]
    rows, total = [], 0
    for (what, kernel, inputs, outputs), layer in zip(figure_1(), counted, strict=True):
        number = (kernel * inputs + 1) * outputs
        total += number
        formula = f"({kernel} · {inputs} + 1) · {outputs}"
        size = " × ".join(map(str, layer["shape"]))
        rows.append([what, formula, f"{number:,}", f"{layer['parameters']:,}", size])
    rows.append(["**sum**", "", f"**{total:,}**", f"**{card['parameters']:,}**", ""])
    return table(["layer", "formula", "gives", "counted", "output"], rows)


def command_line_page() -> str:
    parser = make_parser()
    (choices,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001 (argparse has no public list)
    commands = "\n".join(command(name, one) for name, one in choices.choices.items())
    return f"""# Command line

{parser.description} [Work from the shell](../how-to/command-line.md) puts the commands to use.

{commands}"""


def command(name: str, parser: argparse.ArgumentParser) -> str:
    actions = [a for a in parser._actions if a.dest != "help"]  # noqa: SLF001
    usage = " ".join(["napari-unet", name, *(word for a in actions if (word := usage_of(a)))])
    rows = [(f"`{called(a)}`", meaning(a), shown_default(a)) for a in actions]
    options = table(["argument", "meaning", "default"], rows) if rows else ""
    return f"## `{name}`\n\n{parser.description}\n\n```text\n{usage}\n```\n\n{options}"


def usage_of(action: argparse.Action) -> str:
    optional = (action.option_strings and not action.required) or action.nargs == "?"
    return f"[{called(action)}]" if optional else called(action)


def called(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else str(action.metavar or action.dest).upper()
    value = value.replace("|", " or ")
    return " ".join(filter(None, [*action.option_strings[-1:], value]))


def meaning(action: argparse.Action) -> str:
    choices = ", ".join(f"`{c}`" for c in action.choices) if action.choices else ""
    return cell(" ".join(filter(None, [action.help, choices and f"one of {choices}"])))


def shown_default(action: argparse.Action) -> str:
    empty = action.default in (None, False, []) or action.default is argparse.SUPPRESS
    return "" if empty else f"`{action.default}`"


if __name__ == "__main__":
    main()
