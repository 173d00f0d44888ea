"""Write the reference pages from the running program, so that they cannot lie.

Run as `python docs/scripts/reference.py`; `tests/test_docs.py` notices when a page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import json
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import torch

from napari_unet.cli.parser import make_parser
from napari_unet.config import (
    ARCHITECTURES,
    LOSSES,
    RECIPES,
    Config,
    EvaluateConfig,
    ModelConfig,
    PredictConfig,
    TrainConfig,
)
from napari_unet.models.describe import count_parameters, describe
from napari_unet.models.geometry import measure
from napari_unet.models.memory import BATCH, PATCH
from napari_unet.models.registry import build
from napari_unet.tiling import AUTO_TILE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pydantic.fields import FieldInfo

DEPTHS = (1, 2, 3, 4, 5)
COST_HEAD = (
    "network", "variant", "step", "margin", "lost", "sees", "multiply-adds (10⁹)",
    "parameters (MiB)", "training (MiB)", "tile (MiB)",
)  # fmt: skip
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

{configs_of(PredictConfig)}
## Evaluation

What the dock *Evaluate* asks for; `napari-unet evaluate` has `--kind` and `--ignore`.

{settings_of(EvaluateConfig, "")}"""


def configs_of(kind: type[Config]) -> str:
    """Return the table of a config, then those of its parts, but for `model`."""
    parts = {
        name: field.annotation
        for name, field in kind.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Config)
    }
    own = settings_of(kind, "", leave=parts)
    inner = [
        f"### `{name}`\n\n{inspect.cleandoc(str(part.__doc__))}\n\n{settings_of(part, name + '.')}"
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
        how = "several of" if ... in get_args(kind) else "pair of"
        yield f"{how} {', '.join(kinds(get_args(kind)[0]))}"
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
    if value in ("", ()):
        return ""
    if isinstance(value, tuple):
        return ", ".join(f"`{item}`" for item in value)
    return f"`{json.dumps(value).strip(chr(34))}`".replace("null", "none")


def cell(text: Any) -> str:
    return str(text).replace("|", "\\|").replace("*", "\\*")


def recipe(name: str) -> str:
    text = json.dumps(dict(RECIPES[name]), indent=2)
    return f"### `{name}`\n\n```json\n{text}\n```\n"


def networks_page() -> str:
    forms = [(name, variant) for name, a in ARCHITECTURES.items() for variant in a.variants]
    return f"""# Networks

{table(["name", "title", "paper"], zoo_rows())}
All of them come in 1-D, 2-D and 3-D from one code. Numbers on this page are counted and measured on
the networks that the program builds; `napari-unet describe NAME` prints the same. What sets them
apart is told in [The networks](../concepts/networks.md), which to take in
[Choose a network](../how-to/choose-a-network.md).

## Settings

What each of them chose, and which of the settings that not all have can be changed. A variant is
chosen by `variant`; without it one gets the first.

{table(["network", "variants", "chosen", "can be changed"], choice_rows())}
## Parameters

For one channel and two classes, with the settings above:

{table(["network", "variant", "1-D", "2-D", "3-D"], [count_row(*form) for form in forms])}
## Geometry and cost

In 2-D, for one channel and two classes. *Step*, *margin* and *lost* are pixels per axis, see
[Overlap-tile](../concepts/overlap-tile.md); a pixel of the result *sees* a window of that many
pixels per axis at most. Multiply-adds are those of an image that gives at least 384 × 384 pixels.
Memory is an estimate of what arrays take: for one step of training with Adam on {BATCH[2]} patches
of {PATCH[2]} × {PATCH[2]} pixels, and for a tile of {AUTO_TILE[2]} × {AUTO_TILE[2]}.

{table(COST_HEAD, [cost_row(*form) for form in forms])}
The margin by the number of poolings (`depth`):

{table(["network", "variant", *map(str, DEPTHS)], [margin_row(*form) for form in forms])}
## The network of 2015, layer by layer

572 pixels in, 388 out. A convolution with a kernel of *k* pixels has *k* · inputs weights and one
bias for each of its outputs. The columns in the middle calculate that from the figure of the
paper; the last two are counted on the network.

{layer_table()}"""


def zoo_rows() -> list[tuple[str, str, str]]:
    return [(f"`{name}`", a.title, cell(a.paper)) for name, a in ARCHITECTURES.items()]


def choice_rows() -> list[list[str]]:
    return [
        [
            f"`{name}`",
            "; ".join(f"`{form}`{settings_in_words(own)}" for form, own in a.variants.items()),
            settings_in_words(a.defaults).strip(" ()"),
            ", ".join(f"`{option}`" for option in a.options),
        ]
        for name, a in ARCHITECTURES.items()
    ]


def settings_in_words(settings: Mapping[str, Any]) -> str:
    words = ", ".join(f"{name} = {value}" for name, value in settings.items())
    return f" ({words})" if words else ""


def count_row(name: str, variant: str) -> list[str]:
    configs = [ModelConfig(architecture=name, variant=variant, ndim=ndim) for ndim in (1, 2, 3)]
    return [f"`{name}`", f"`{variant}`", *(f"{parameters(config):,}" for config in configs)]


def parameters(config: ModelConfig) -> int:
    with torch.device("meta"):
        return count_parameters(build(config).parameters())


def cost_row(name: str, variant: str) -> list[Any]:
    card = describe(ModelConfig(architecture=name, variant=variant))
    geometry, memory = card["geometry"], card["memory"]
    sees = card["layers"][-1]["field"][0]
    one_axis = [geometry[key][0] for key in ("step", "margin", "lost")]
    mib = [f"{memory[key] / 2**20:,.0f}" for key in ("parameters", "training", "prediction")]
    return [f"`{name}`", f"`{variant}`", *one_axis, sees, f"{card['macs'] / 1e9:.1f}", *mib]


def margin_row(name: str, variant: str) -> list[Any]:
    margins = [
        measure(ModelConfig(architecture=name, variant=variant, ndim=1, depth=depth)).margin[0]
        for depth in DEPTHS
    ]
    return [f"`{name}`", f"`{variant}`", *margins]


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
