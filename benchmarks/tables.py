"""Write the tables of results into a page, so that no number is typed by hand.

    python benchmarks/tables.py docs/benchmarks.md results.json tiling.json

A table stands between `<!-- accuracy:begin -->` and `<!-- accuracy:end -->`, or the same with
another name of `TABLES`. Benchmarks without results stay as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.writing import atomic_write
from napari_unet.config import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Run = dict[str, Any]
Columns = dict[str, "Callable[[Run], str]"]


def configuration(run: Run) -> str:
    """Say how wide and deep a network is and what its options are."""
    model = run["model"]
    norm = "no norm" if model["norm"] == "none" else f"{model['norm']} norm"
    dropout = f", dropout {model['dropout']:g}" if model["dropout"] else ""
    size = f"base {model['base']}, depth {model['depth']}"
    return f"{size}, {norm}, {model['upsampling']} upsampling{dropout}"


NETWORK: Columns = {
    "network": lambda run: run["architecture"],
    "configuration": configuration,
    "parameters": lambda run: f"{run['parameters']:,}",
}
TRAINING: Columns = {
    "border term": lambda run: f"w0 = {run['w0']:g}" if run["w0"] else "off",
    "steps": lambda run: f"{run['steps']:,}",
    "CPU min": lambda run: f"{run['train_cpu_s'] / 60:.1f}",
}
SPEED: Columns = {
    "CPU s per megapixel": lambda run: f"{run['predict_cpu_s'] / run['test_px'] * 1e6:.2f}",
}
ACCURACY: Mapping[str, Columns] = {
    "isbi2012_em": {
        **NETWORK,
        **TRAINING,
        "Dice of inside": lambda run: f"{run['foreground_dice']:.4f}",
        "Dice of membrane": lambda run: f"{run['membrane_dice']:.4f}",
        "pixel error": lambda run: f"{run['pixel_error']:.4f}",
        **SPEED,
    },
    "dsb2018": {
        **NETWORK,
        **TRAINING,
        "Dice of foreground": lambda run: f"{run['foreground_dice']:.4f}",
        "object F1": lambda run: f"{run['f1']:.4f}",
        "found / missed / invented": lambda run: f"{run['tp']} / {run['fn']} / {run['fp']}",
        **SPEED,
    },
}


LEARNED: Columns = {
    **NETWORK,
    "steps": lambda run: f"{run['steps']:,}",
    "CPU min": lambda run: f"{run['cpu_s'] / 60:.1f}",
    "peak memory": lambda run: f"{run['memory_mib']:,.0f} MiB",
}
APPLIED: Columns = {"s per megapixel": lambda run: f"{run['predict_s_per_megapixel']:.2f}"}
FAMILY: Mapping[str, Columns] = {
    "msd_hippocampus": {
        **LEARNED,
        "Dice of anterior": lambda run: score(run, "class 1: dice"),
        "Dice of posterior": lambda run: score(run, "class 2: dice"),
        **APPLIED,
    },
    "axondeepseg_sem": {
        **LEARNED,
        "Dice of myelin": lambda run: score(run, "class 1: dice"),
        "Dice of axon": lambda run: score(run, "class 2: dice"),
        **APPLIED,
    },
    "drive_retina": {
        **LEARNED,
        "Dice of vessels": lambda run: score(run, "class 1: dice"),
        "precision": lambda run: score(run, "class 1: precision"),
        "recall": lambda run: score(run, "class 1: recall"),
        **APPLIED,
    },
    "denoising": {
        **LEARNED,
        "MSE": lambda run: f"{run['noisy']['mse']:.2f} → {run['mse']:.2f}",
        "MAE": lambda run: f"{run['noisy']['mae']:.2f} → {run['mae']:.2f}",
        "PSNR": lambda run: f"{run['noisy']['psnr_db']:.1f} → {run['psnr_db']:.1f} dB",
        **APPLIED,
    },
    "signals": {
        **LEARNED,
        "Dice of transient": lambda run: score(run, "class 1: dice"),
        "Dice of plateau": lambda run: score(run, "class 2: dice"),
        **APPLIED,
    },
}
TILING: Columns = {
    "network": lambda run: run["architecture"],
    "configuration": configuration,
    "image": lambda run: f"{run['size_px']} x {run['size_px']}",
    "way": lambda run: run["way"],
    "time": lambda run: f"{run['time']:.2f}",
    "computed twice": lambda run: f"{run['redundant']:.0%}" if run["redundant"] else "nothing",
    "largest difference in probability": lambda run: tiny(run["difference"]),
    "pixels of another class": lambda run: f"{run['changed_px']:,}",
    "peak memory": lambda run: (
        "not measured" if run["peak_mib"] is None else f"{run['peak_mib']:,.0f} MiB"
    ),
}
LARGE: Columns = {
    "image": lambda run: f"{run['image_gib']:.1f} GiB, {run['image']}",
    "network": lambda run: f"base {run['base']}, depth {run['depth']}",
    "predicted": lambda run: f"{run['edge']:,} x {run['edge']:,}, {' and '.join(run['outputs'])}",
    "way": lambda run: f"{run['way']}, {run['tiles']:,} of {'x'.join(map(str, run['tile']))}",
    "peak memory": lambda run: f"{run['peak_mib']:,.0f} MiB",
    "as planned": lambda run: f"{run['plan_mib']:,.0f} MiB",
    "grows by": lambda run: f"{run['slope_mib']:.1f} MiB",
    "chunks read beyond": lambda run: str(run["beyond"]),
    "reads per chunk": lambda run: f"{run['reads'] / run['needed']:.2f} (at most {run['most']})",
    "megapixels per s": lambda run: f"{run['px'] / run['seconds'] / 1e6:.2f}",
}


WINDOW: Columns = {
    "while": lambda run: run["phase"],
    "half of all": lambda run: f"{run['p50']:.1f} ms",
    "99 %": lambda run: f"{run['p99']:.1f} ms",
    "99.9 %": lambda run: f"{run['p999']:.0f} ms",
    "worst": lambda run: f"{run['worst']:.0f} ms",
}


MINUTES: Columns = {
    "minutes": lambda run: f"{run['minutes']:g}",
    "border term": TRAINING["border term"],
    "start": lambda run: {"scratch": "random", "tissue": "model of tissue"}[run["start"]],
    "steps": TRAINING["steps"],
    "CPU min": TRAINING["CPU min"],
    "Dice of foreground": ACCURACY["dsb2018"]["Dice of foreground"],
    "object F1": ACCURACY["dsb2018"]["object F1"],
    "found / missed / invented": ACCURACY["dsb2018"]["found / missed / invented"],
}
CELLS: Columns = {
    "minutes": lambda run: f"{run['minutes']:g}",
    "steps": TRAINING["steps"],
    "CPU min": TRAINING["CPU min"],
    "frames to train / to test": lambda run: " / ".join(map(str, run["frames"])),
    "true cells": lambda run: str(run["cells"]),
    "SEG": lambda run: f"{run['seg']:.4f}",
}
SPARSE: Columns = {
    "labelled": lambda run: f"{run['share']:.0%}, {run['labelled_px']:,} pixels",
    "steps": lambda run: f"{run['steps']:,}",
    "CPU min": lambda run: f"{run['train_cpu_s'] / 60:.1f}",
    "F-score of membrane": lambda run: f"{run['membrane_f']:.4f}",
    "F-score of inside": lambda run: f"{run['inside_f']:.4f}",
    "pixel error": lambda run: f"{run['pixel_error']:.4f}",
}


WEIGHTS: Columns = {
    "image": lambda run: f"{run['size_px']} x {run['size_px']}",
    "objects": lambda run: f"{run['objects']:,}",
    "border term": lambda run: f"{run['ours_s'] / run['single_s']:.2f}",
    "one transform for each object": lambda run: (
        f"{run['usual_s'] / run['single_s']:,.0f}"
        + ("" if run["measured"] == run["objects"] else f", from {run['measured']} of them")
    ),
    "largest error": lambda run: tiny(run["error"]),
    "memory: one transform, border term, each object": lambda run: " / ".join(
        f"{run[way + '_mib']:,.0f} MiB" for way in ("single", "ours", "usual")
    ),
}


WORKERS: Columns = {
    "what happens": lambda run: run["what"],
    "equal to one process": lambda run: f"{run['equal']} of {run['runs']}",
    "seconds": lambda run: f"{run['seconds']:.0f}",
}


def tiny(number: float) -> str:
    """Write a number far below 1, or 0 where it is exactly that."""
    return f"{number:.1e}" if number else "0"


def score(run: Run, name: str) -> str:
    """Write a score, or a dash where it is not defined."""
    return "-" if run.get(name) is None else f"{run[name]:.4f}"


def share(part: int, whole: int) -> str:
    """Say how many, and what share that is."""
    return f"{part} ({part / whole:.0e})" if part else "0"


def markdown(columns: Columns, runs: Iterable[Run]) -> str:
    """Set `runs` as a Markdown table; a run that failed has its reason in the second column."""
    lines = [list(columns), ["---"] * len(columns)]
    for run in runs:
        if "failed" in run:
            lines.append([run["name"], run["failed"], *[""] * (len(columns) - 2)])
        else:
            lines.append([cell(run) for cell in columns.values()])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def place(run: Run) -> tuple[int, int, str]:
    """Say where a row stands: small images first, architectures as the zoo has them."""
    known = list(ARCHITECTURES)
    row = known.index(run["architecture"]) if "architecture" in run else 0
    return run.get("size_px", 0), row, run["name"]


def accuracy_tables(runs: Sequence[Run]) -> str:
    """Set one table for each set of images."""
    return tables_of(ACCURACY, runs)


def family_tables(runs: Sequence[Run]) -> str:
    """Set one table for each set of images."""
    return tables_of(FAMILY, runs)


def tables_of(datasets: Mapping[str, Columns], runs: Sequence[Run]) -> str:
    """Set one table for each set of images that has runs."""
    parts = []
    for dataset, columns in datasets.items():
        mine = [run for run in runs if run["dataset"] == dataset]
        if mine:
            parts.append(f"`{dataset}`:\n\n{markdown(columns, sorted(mine, key=place))}")
    return "\n\n".join(parts)


def tiling_table(runs: Sequence[Run]) -> str:
    """Set one row for each network and way."""
    return markdown(TILING, sorted(runs, key=place))


def backends_table(runs: Sequence[Run]) -> str:
    """Set one row for each network: time over that of the plain one, and its difference."""
    ways = dict.fromkeys(way for run in runs for way in run["ratios"])
    return markdown(
        {**NETWORK, **{way: partial(ratio, way) for way in ways}}, sorted(runs, key=place)
    )


def ratio(way: str, run: Run) -> str:
    """Write a ratio of times and the largest difference over the spread."""
    if way not in run["ratios"]:
        return "-"
    return f"{run['ratios'][way]:.2f} ({tiny(run['differences'][way])})"


def augment_table(runs: Sequence[Run]) -> str:
    """Set one row for each dimension: the times of others over ours."""
    ways = dict.fromkeys(way for run in runs for way in run["ratios"])
    columns: Columns = {"patches": lambda run: run["patches"]}
    return markdown(columns | {way: partial(times, way) for way in ways}, sorted(runs, key=place))


def step_table(runs: Sequence[Run]) -> str:
    """Set one row for each dimension: where the time goes, and that of other ways."""
    ways = dict.fromkeys(way for run in runs for way in run["ratios"])
    columns: Columns = {"patches": lambda run: run["patches"]}
    for number, part in enumerate(("drawing", "forward", "backward", "optimiser")):
        columns[part] = partial(percent, number)
    return markdown(columns | {way: partial(times, way) for way in ways}, sorted(runs, key=place))


def times(way: str, run: Run) -> str:
    """Write a ratio of times."""
    return f"{run['ratios'][way]:.2f}" if way in run["ratios"] else "-"


def percent(number: int, run: Run) -> str:
    """Write a share of the step in percent."""
    return f"{100 * run['shares'][number]:.1f} %"


def large_table(runs: Sequence[Run]) -> str:
    """Set one row for each image and way."""
    return markdown(LARGE, sorted(runs, key=place))


def window_table(runs: Sequence[Run]) -> str:
    """Set one row for each phase, in the order they were measured."""
    return markdown(WINDOW, runs)


def sparse_table(runs: Sequence[Run]) -> str:
    """Set one row for each share of labelled pixels, the smallest first."""
    return markdown(SPARSE, sorted(runs, key=lambda run: run["share"]))


def minutes_table(runs: Sequence[Run]) -> str:
    """Set one row for each run, the shortest first."""
    order = sorted(runs, key=lambda run: (run["minutes"], run["border"] == "off", run["start"]))
    return markdown(MINUTES, order)


def weights_table(runs: Sequence[Run]) -> str:
    """Set one row for each image, the smallest first."""
    return markdown(WEIGHTS, sorted(runs, key=lambda run: (run["size_px"], run["objects"])))


def cells_table(runs: Sequence[Run]) -> str:
    """Set one row for each time."""
    return markdown(CELLS, sorted(runs, key=lambda run: run["minutes"]))


def workers_table(runs: Sequence[Run]) -> str:
    """Set one row for each thing that happens."""
    return markdown(WORKERS, sorted(runs, key=lambda run: run["order"]))


def read_results(paths: Iterable[Path]) -> list[Run]:
    """Read the runs of all files, one after the other."""
    return [run for path in paths for run in json.loads(path.read_text(encoding="utf-8"))]


def keep(path: Path, run: Run) -> None:
    """Write a run to the results, in place of an older one of the same name."""
    older = read_results([path]) if path.exists() else []
    kept = [other for other in older if other["name"] != run["name"]]
    atomic_write(path, json.dumps([*kept, run], indent=1).encode())


def insert(page: str, name: str, table: str) -> str:
    """Replace what stands between the marks of `name`."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    found = re.findall(rf"{re.escape(begin)}.*?{re.escape(end)}", page, re.S)
    if len(found) != 1:
        raise SystemExit(f"the page has {len(found)} places {begin} ... {end}, not one")
    return page.replace(found[0], f"{begin}\n\n{table}\n\n{end}")


TABLES: Mapping[str, Callable[[Sequence[Run]], str]] = {
    "accuracy": accuracy_tables,
    "family": family_tables,
    "tiling": tiling_table,
    "large": large_table,
    "workers": workers_table,
    "backends": backends_table,
    "window": window_table,
    "sparse": sparse_table,
    "minutes": minutes_table,
    "cells": cells_table,
    "weights": weights_table,
    "augment": augment_table,
    "step": step_table,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("page", type=Path)
    parser.add_argument("results", type=Path, nargs="+")
    arguments = parser.parse_args()
    page, runs = arguments.page.read_text(encoding="utf-8"), read_results(arguments.results)
    for name, table in TABLES.items():
        mine = [run for run in runs if run["benchmark"] == name]
        if mine:
            page = insert(page, name, table(mine))
    arguments.page.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
