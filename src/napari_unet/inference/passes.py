"""How often and in which way tiles pass the network: once, or turned and flipped."""

from __future__ import annotations

from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from napari_unet.arrays.intensity import measure_intensity
from napari_unet.arrays.mirror import read_mirrored
from napari_unet.inference.model import open_model
from napari_unet.inference.orientations import orientations
from napari_unet.models.strips import FlowRunner, Mode, make_runner
from napari_unet.tiling import tile_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_unet.arrays.intensity import Intensity
    from napari_unet.inference.orientations import Orientation
    from napari_unet.inference.task import Task
    from napari_unet.models.strips import Maps, Run, Runner
    from napari_unet.tiling import Window

KEPT = 4  # planes whose grey values are remembered


@dataclass(frozen=True, slots=True)
class Pass:
    """One way to see the image, and what computes it."""

    orientation: Orientation
    runner: Runner


class Passes:
    """The passes that every tile makes, at the size of pixels that the network knows.

    Parameters
    ----------
    task : Task
        With uncertainty among its outputs, tiles pass more than once: in every flip, and every
        rotation by 90 degrees where Y and X are alike to the network and in size; or as they lie,
        without and then several times with dropout.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self._intensities: OrderedDict[tuple[int, ...], Intensity] = OrderedDict()
        self._make()

    def _make(self) -> None:
        gates = "attention" in self.task.config.outputs
        first, *others = _ways(self.task)
        self.each = (Pass(first, self._runner(self.task.shape, gates=gates)), *self._more(others))
        self._runners = tuple(dict.fromkeys(each.runner for each in self.each))

    def _more(self, ways: Sequence[Orientation]) -> Iterator[Pass]:
        """Yield the passes beside the plain one; those that see an image of one shape share."""
        config = self.task.config
        if "uncertainty" in config.outputs and config.passes == "dropout":
            (straight, *_) = orientations(self.task.ndim, rotations=False)
            runner = self._runner(self.task.shape, dropout=config.seed)
            for draw in range(config.dropout_passes):
                yield Pass(straight, _redraw(runner, draw))
            return
        runners: dict[tuple[int, ...], Runner] = {}
        for way in ways:
            shape = way.shape(self.task.shape)
            if shape not in runners:
                runners[shape] = self._runner(shape)
            yield Pass(way, runners[shape])

    def intensity(self, lead: tuple[int, ...]) -> Intensity:
        """Measure the grey values of a plane; those of the last few planes are remembered.

        Raises
        ------
        InputError
            U114 when a channel has no finite pixel.
        """
        if lead not in self._intensities:
            view, how = self.task.view(lead), self.task.model.card.normalisation
            self._intensities[lead] = measure_intensity(view, how)
            while len(self._intensities) > KEPT:
                self._intensities.popitem(last=False)
        return self._intensities[lead]

    def read(self, lead: tuple[int, ...], window: Window, number: int = 0) -> NDArray[np.float32]:
        """Read a window as a pass sees it, mirrored outside, normalised: (C, *window)."""
        seen = self.each[number].orientation.view(self.task.view(lead))
        return self.intensity(lead).apply(read_mirrored(seen, window))

    def begin(self, windows: Sequence[Window], number: int = 0) -> Run:
        """Begin to compute windows of the image, neighbours from top to bottom, in one pass.

        The tiles of the run are as the network sees them.
        """
        shape, geometry = self.task.shape, self.task.model.geometry
        orientation, runner = self.each[number].orientation, self.each[number].runner
        seen = orientation.shape(shape)
        return runner.begin(
            [
                tile_at(orientation.window(self.task.zoom.seen(w), shape), seen, geometry)
                for w in windows
            ]
        )

    def restore(self, maps: Maps, number: int) -> Maps:
        """Return what a pass told, as the image lies."""
        return {name: self.each[number].orientation.back(a) for name, a in maps.items()}

    def halve(self) -> bool:
        """Take less memory from now on; return False where that cannot be."""
        halved = [runner.halve() for runner in self._runners]
        return all(halved)

    def move_to_cpu(self) -> None:
        """Go on with a copy of the model on the CPU, in float32."""
        model = open_model(self.task.model.folder, "cpu")
        config = self.task.config.model_copy(update={"precision": "float32"})
        self.task = replace(self.task, model=model, config=config)
        self._make()

    def _runner(
        self, shape: Sequence[int], *, gates: bool = False, dropout: int | None = None
    ) -> Runner:
        task = self.task
        mode = Mode(
            task.model.device,
            getattr(torch, task.config.precision),
            rows=task.plan.rows,
            gates=gates,
            dropout=dropout,
            top=task.grid.region.space[0].start if task.rows else None,
        )
        return make_runner(
            task.model.network,
            task.model.card.model,
            task.model.geometry,
            shape,
            mode,
            task.config.backend,
        )


def _redraw(runner: Runner, draw: int) -> Runner:
    """Return a runner on the same network that drops out other cells."""
    if not isinstance(runner, FlowRunner):
        raise TypeError(f"{type(runner).__name__} has no dropout")
    other = copy(runner)
    other.mode = replace(runner.mode, dropout=(runner.mode.dropout or 0) + (draw << 32))
    return other


def _ways(task: Task) -> list[Orientation]:
    geometry = task.model.geometry
    spacing = task.picture.spacing if task.zoom.plain else task.model.card.spacing
    if "uncertainty" not in task.config.outputs or task.config.passes == "dropout":
        return orientations(task.ndim, rotations=False)[:1]
    alike = all(
        numbers[-1] == numbers[-2]
        for numbers in (geometry.step, geometry.margin, spacing or (1, 1))
        if task.ndim > 1
    )
    return orientations(task.ndim, rotations=alike)
