"""Several networks on the same images: trained alike, scored alike, told as rows of a table."""

from __future__ import annotations

import json
import math
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import ValidationError

from napari_unet.arrays.axes import SPACE, Picture
from napari_unet.arrays.writing import atomic_write, check_writable
from napari_unet.config import (
    ARCHITECTURES,
    OPTIONS,
    InputError,
    ModelConfig,
    TrainConfig,
    explain,
)
from napari_unet.events import Compared, Finished, Noted, Started
from napari_unet.inference.model import open_model
from napari_unet.inference.peak import PeakMemory
from napari_unet.library.card import restore
from napari_unet.metrics.pixels import class_scores, confusion, mean_scores
from napari_unet.metrics.ranking import rank_table
from napari_unet.metrics.tabulate import to_csv
from napari_unet.models.geometry import measure
from napari_unet.models.tracing import count_parameters
from napari_unet.models.trial import trust
from napari_unet.training.data import load_data
from napari_unet.training.loop import train
from napari_unet.training.optimisers import make_optimiser
from napari_unet.training.plan import count_outputs, depth_is_open

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.config.prediction import Output
    from napari_unet.events import CompareEvent, TrainEvent
    from napari_unet.inference.model import Model
    from napari_unet.library.card import Card
    from napari_unet.library.split import SplitCard
    from napari_unet.training.augment import Source
    from napari_unet.training.data import TrainingData
    from napari_unet.training.pairs import Pair

ROWS, TABLE = "comparison.json", "comparison.csv"
SIZE = ("ndim", "in_channels", "classes", "base", "depth", "halvings", "flat")
OF_THE_NETWORK = ("U144", "U151", "U153", "U161")  # the others may do better: they go on
DIGITS = 6  # that count: a target may be in metres

Row = dict[str, Any]


def compare(
    config: TrainConfig,
    architectures: Sequence[str],
    pairs: Sequence[Pair],
    folder: str | Path,
    *,
    test: Sequence[Pair] | None = None,
) -> Generator[CompareEvent, None, None]:
    """Train several networks alike and score them on the same images.

    Each network has the settings, the seed, and so the held-out images of the others, and the
    whole budget for itself. Its model is kept in `folder`. Close the generator to stop early:
    the rows so far and the network that was being trained are kept.

    Parameters
    ----------
    config : TrainConfig
        What all have in common. The size of `config.model` holds for every network; so do those
        of its options that differ from its paper, where a network has them.
    architectures : sequence of str
        Names, or NAME:VARIANT.
    pairs : sequence of (image, labels)
        What to learn from; see `load_data`.
    folder : str or Path
        Will hold a model for each network, `comparison.json` and `comparison.csv`.
    test : sequence of (image, labels), optional
        What to score on; without it the images held out from training.

    Yields
    ------
    CompareEvent
        `Noted` with the name of each network, the events of its training, and `Compared` with
        its row: model (its folder), architecture, variant; dice, jaccard, precision, recall (of
        all pixels together, the mean over foreground), or mse, rmse, mae in the units of the
        target; steps, train_s and cpu_s (seconds of training with validation), memory_mib (see
        `PeakMemory`), parameters, predict_s_per_megapixel; "NAME: dice" and so on of each
        class. A network that could not be trained has `failed` instead, in words.
        `Finished.summary` holds all `rows`.

    Raises
    ------
    InputError
        For whatever no network could use, before anything is written: as `train`, and U101
        without architectures, U131 when `folder` already holds a comparison.
    """
    names, folder = _check_names(architectures), Path(folder)
    _check_free(folder, names)
    trust(config.device)
    split = _check_images(_widest(config, names), pairs, test)
    rows: list[Row] = []
    _warm_up(config)
    yield Started(None)
    for done, name in enumerate(names, start=1):
        yield Noted(f"{name}: network {done} of {len(names)}")
        row = yield from _row(config, name, (pairs, test, split), folder)
        rows.append({key: _rounded(value) for key, value in row.items()})
        _write(folder, config, rows)
        yield Compared(name, rows[-1], done, len(names))
    yield Finished(str(folder), {"rows": rows})


def settings_for(config: TrainConfig, name: str) -> TrainConfig:
    """Return `config` for another network, NAME or NAME:VARIANT.

    A depth that the images decide is left open for each.

    Raises InputError U150 for a network that is not known, U151 for one that cannot have them.
    """
    architecture, _, variant = name.partition(":")
    ours = config.model
    plain = ModelConfig(architecture=ours.architecture, variant=ours.variant)
    options = (
        option
        for option in OPTIONS
        if option in ARCHITECTURES[architecture].options
        and getattr(ours, option) != getattr(plain, option)
    )
    kept = {field: getattr(ours, field) for field in (*SIZE, *options)}
    if config.plan == "full" and depth_is_open(ours):
        del kept["depth"]
    model = {"architecture": architecture, "variant": variant, **kept}
    if ours.ndim not in ARCHITECTURES[architecture].ndim:
        what = f"{architecture!r} does not work in {ours.ndim}-D"
        raise InputError("U151", what, "choose another architecture")
    try:
        return TrainConfig.model_validate({**config.model_dump(), "model": model})
    except ValidationError as error:
        raise explain(error) from error


def _check_names(architectures: Sequence[str]) -> list[str]:
    """Return every name once; raises InputError U101 or U150 for names that are none."""
    names = list(dict.fromkeys(architectures))
    if not names:
        raise InputError("U101", "no architectures to compare", "name at least one")
    for name in names:
        architecture, _, variant = name.partition(":")
        try:
            ModelConfig.model_validate({"architecture": architecture, "variant": variant})
        except ValidationError as error:
            raise explain(error) from error
    return names


def _check_free(folder: Path, names: Sequence[str]) -> None:
    for path in (folder / ROWS, folder / TABLE, *(folder / _place(name) for name in names)):
        if path.exists():
            remedy = "choose another folder"
            raise InputError("U131", f"{folder} already holds {path.name}", remedy)
    check_writable(folder / ROWS)


def _warm_up(config: TrainConfig) -> None:
    """Take one step, so that the first network does not pay for what is loaded only once."""
    weight = torch.nn.Parameter(torch.zeros(1, 1, 3, 3))
    optimiser = make_optimiser(torch.nn.ParameterList([weight]), config.optimiser)
    loss = torch.nn.functional.conv2d(torch.zeros(1, 1, 8, 8), weight).sum()
    loss.backward()  # type: ignore[no-untyped-call] # torch's stub lacks it
    optimiser.step()


def _place(name: str) -> str:
    """Name the folder of a network: without the colon, which Windows refuses."""
    return name.replace(":", "-")


def _row(
    config: TrainConfig,
    name: str,
    images: tuple[Sequence[Pair], Sequence[Pair] | None, SplitCard],
    folder: Path,
) -> Generator[TrainEvent, None, Row]:
    """Train one network on pairs, score it on others or on what is held out; return its row."""
    pairs, _, split = images
    architecture, _, variant = name.partition(":")
    row: Row = {"model": _place(name), "architecture": architecture, "variant": variant}
    try:
        own = settings_for(config, name)
        row["variant"] = own.model.variant
        learned = yield from _learn(own, pairs, folder / _place(name), split)
        model = open_model(folder / _place(name), config.device)
        overall, by_class, speed = _score(model, _judges(own, *images, model.card))
    except InputError as error:
        if error.code not in OF_THE_NETWORK:
            raise
        return {**row, "failed": str(error)}
    parameters = count_parameters(model.network.parameters())
    learned |= {"parameters": parameters, "predict_s_per_megapixel": speed}
    return {**row, **overall, **learned, **by_class}


def _learn(
    config: TrainConfig, pairs: Sequence[Pair], folder: Path, split: SplitCard
) -> Generator[TrainEvent, None, Row]:
    """Train one network; return how long it took and how much memory."""
    summary: Row = {}
    cpu_s = 0.0
    memory = PeakMemory(trust(config.device)[0])
    with memory, closing(train(config, pairs, folder, split=split)) as stream:
        for event in stream:
            if isinstance(event, Started):
                cpu_s = time.process_time()  # the images are prepared by now
            elif isinstance(event, Finished):
                summary = dict(event.summary)
            else:
                yield event
    return {
        "steps": summary["steps"],
        "train_s": summary["elapsed_s"],
        "cpu_s": time.process_time() - cpu_s,
        "memory_mib": memory.mib,
    }


def _widest(config: TrainConfig, names: Sequence[str]) -> TrainConfig:
    """Return the settings of the network that sees furthest: its gap is wide enough for all."""
    found = [(0, config)]
    for name in names:
        try:
            own = settings_for(config, name)
            found.append((max(measure(own.model).margin), own))
        except InputError:  # its row will say so
            continue
    return max(found, key=lambda each: each[0])[1]


def _check_images(
    config: TrainConfig, pairs: Sequence[Pair], test: Sequence[Pair] | None
) -> SplitCard:
    """Find out before any training what no network could learn from, or be scored on.

    Returns what all networks hold out.
    """
    known = load_data(config, pairs)
    count_outputs(config, known)
    if test:
        labels = config.labels
        if not known.target:
            labels = labels.model_copy(update={"kind": known.grammar.kind})
        alike = config.model_copy(update={"validation": 0.0, "labels": labels})
        _check_test(known, load_data(alike, test))
    return known.split


def _check_test(known: TrainingData, asked: TrainingData) -> None:
    """Refuse test images that are of another kind than those to learn from."""
    if known.channels != asked.channels:
        raise InputError(
            "U119",
            f"the test images have {asked.channels} channels, those to learn from {known.channels}",
            "test on images of one kind",
        )
    if len(known.target) != len(asked.target):
        raise InputError(
            "U119",
            f"the test targets have {len(asked.target)} channels, those to learn from "
            f"{len(known.target)}",
            "test on targets of one kind",
        )
    unknown = set(asked.grammar.values) - set(known.grammar.values)
    if unknown:
        raise InputError(
            "U108",
            f"the test labels hold {sorted(unknown)}, those to learn from do not",
            "test on labels that are learned",
        )


def _judges(
    config: TrainConfig,
    pairs: Sequence[Pair],
    test: Sequence[Pair] | None,
    split: SplitCard,
    card: Card,
) -> Sequence[Source]:
    """Prepare what a network is scored on: the test images, or those that were held out."""
    spacing = card.spacing if card.unit else None
    changes = {"normalisation": card.normalisation, "spacing": spacing}
    alike = config.model_copy(update=changes)
    if test:
        return load_data(alike.model_copy(update={"validation": 0.0}), test, card).train
    data = load_data(alike, pairs, card, split)
    return data.validation or data.train


def _score(model: Model, sources: Sequence[Source]) -> tuple[Row, Row, float]:
    """Predict every source tile by tile and compare the labelled pixels of all together.

    Returns the scores, those of each class, and the seconds to predict a megapixel.
    """
    as_is = replace(model, card=model.card.model_copy(update={"normalisation": "none"}))
    axes = f"C{SPACE[-model.card.model.ndim :]}"
    output: Output = "values" if model.card.target else "classes"
    seconds, found = 0.0, []
    as_is.predict(Picture(sources[0].image, axes), outputs=(output,))  # what is done once only
    for source in sources:
        start = time.perf_counter()
        found.append(as_is.predict(Picture(source.image, axes), outputs=(output,))[output])
        seconds += time.perf_counter() - start
    speed = 1e6 * seconds / sum(source.weights.size for source in sources)
    if model.card.target:
        return _value_scores(model.card, sources, found), {}, speed
    return (*_class_scores(model.card, sources, found), speed)


def _class_scores(
    card: Card, sources: Sequence[Source], found: Sequence[NDArray[Any]]
) -> tuple[Row, Row]:
    """Score classes: the mean over foreground, and each class by its name."""
    names = [each.name for each in card.classes]
    values = np.array([each.value for each in card.classes])
    order = np.argsort(values)
    counts = np.zeros((len(names), len(names)), np.int64)
    for source, classes in zip(sources, found, strict=True):
        index = order[np.searchsorted(values, classes, sorter=order)]
        counts += confusion(index, source.truth, len(names), source.weights > 0)
    by_class = {
        f"{name}: {score}": value
        for name, scores in zip(names, class_scores(counts).values(), strict=True)
        for score, value in scores.items()
    }
    return dict(mean_scores(counts)), by_class


def _value_scores(card: Card, sources: Sequence[Source], found: Sequence[NDArray[Any]]) -> Row:
    """Score values: the errors of all channels together, in the units of the target."""
    errors = np.concatenate(
        [
            (values.reshape(source.truth.shape) - restore(source.truth, card.target))[
                :, source.weights > 0
            ].ravel()
            for source, values in zip(sources, found, strict=True)
        ]
    ).astype(np.float64)
    mse = float(np.mean(errors**2))
    return {"mse": mse, "rmse": math.sqrt(mse), "mae": float(np.mean(np.abs(errors)))}


def _rounded(value: Any) -> Any:
    """Make a value fit for JSON: no more digits than mean something, None for nan."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else None


def _write(folder: Path, config: TrainConfig, rows: Sequence[Row]) -> None:
    """Write all rows so far, as JSON with the settings and as CSV."""
    record = {"config": config.model_dump(mode="json"), "rows": rows}
    atomic_write(folder / ROWS, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    atomic_write(folder / TABLE, to_csv(rank_table(rows)).encode())
