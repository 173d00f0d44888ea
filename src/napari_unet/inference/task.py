"""What is to be predicted, settled before anything is computed: model, image, region, plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_unet.arrays.axes import View, lead_shape
from napari_unet.arrays.source import as_picture
from napari_unet.config import InputError
from napari_unet.inference.grid import Grid
from napari_unet.inference.plan import plan_prediction
from napari_unet.inference.regions import choose_region
from napari_unet.inference.zoom import choose_zoom
from napari_unet.library.folders import WEIGHTS
from napari_unet.models.backends import available_backends
from napari_unet.models.geometry import gate_strides

if TYPE_CHECKING:
    import torch

    from napari_unet.arrays.axes import Picture
    from napari_unet.arrays.resampled import Resampled
    from napari_unet.config import PredictConfig
    from napari_unet.inference.model import Model
    from napari_unet.inference.planned import Plan
    from napari_unet.inference.zoom import Zoom


@dataclass(frozen=True, slots=True)
class Task:
    """A prediction, settled.

    Parameters
    ----------
    model : Model
        Opened, on the device that computes.
    picture : Picture
        With the channels that the model wants.
    config : PredictConfig
        With its outputs, and with precision and backend as planned.
    plan : Plan
        How it is computed.
    grid : Grid
        The tiles of the region.
    zoom : Zoom
        At which size of pixels the network sees the image.
    """

    model: Model
    picture: Picture
    config: PredictConfig
    plan: Plan
    grid: Grid
    zoom: Zoom

    @property
    def ndim(self) -> int:
        """Dimensions of space."""
        return self.model.card.model.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape (*S) of the image as the network sees it."""
        return self.zoom.model

    @property
    def rows(self) -> bool:
        """Whether tiles below one another run as one stream: not if they pass more than once."""
        once = self.zoom.plain and "uncertainty" not in self.config.outputs
        return once and self.plan.way == "rows"

    def view(self, lead: tuple[int, ...]) -> View | Resampled:
        """Return a plane (C, *S) of the image as the network sees it; nothing is read."""
        return self.zoom.view(View(self.picture, self.ndim, lead))


def make_task(
    model: Model,
    picture: Picture,
    config: PredictConfig,
    plan: Plan | None = None,
    *,
    interactive: bool = False,
) -> Task:
    """Plan a prediction, unless there is a plan; see `plan_prediction`.

    Raises
    ------
    InputError
        U150 for a region that does not lie in the image; U151 for a plan that cannot be followed
        on this computer.
    """
    region = choose_region(config, picture, model.card.model.ndim)
    zoom = choose_zoom(model.card, picture, config)
    if plan is None:
        plan = plan_prediction(model, picture, config, interactive=interactive)
    elif not _is_possible(plan, model.device):
        raise InputError(
            "U151",
            f"the result was begun with backend {plan.backend} in {plan.precision}, "
            f"which {model.device} here does not have",
            "resume where it was begun, or predict it again, without resuming",
        )
    config = config.model_copy(update={"precision": plan.precision, "backend": plan.backend})
    return Task(model, picture, config, plan, Grid(region, plan.tile), zoom)


def _is_possible(plan: Plan, device: torch.device) -> bool:
    """Tell whether a plan that was made before, perhaps elsewhere, can be followed."""
    if plan.backend != "torch" and device.type != "cpu":
        return False
    half = plan.precision == "float16" and device.type == "cpu"
    return plan.backend in available_backends() and not half


def made_of(model: Model, picture: Picture, config: PredictConfig) -> dict[str, Any]:
    """Say what the numbers of a result depend on, but for the plan, as JSON has it."""
    ndim = model.card.model.ndim
    region = choose_region(config, picture, ndim)
    found: dict[str, Any] = {
        "parameters": model.card.files[WEIGHTS],
        "image": picture.name,
        "axes": picture.axes,
        "shape": [int(n) for n in picture.data.shape],
        "outputs": sorted(config.outputs),
        "region": [[w.start, w.stop] for w in (*region.lead, *region.space)],
        "outline": [list(corner) for corner in config.outline or ()],
    }
    if not (zoom := choose_zoom(model.card, picture, config)).plain:
        found["resampled"] = list(zoom.model)
    if "instances" in config.outputs:
        found["instances"] = config.instances.model_dump()
    if "uncertainty" in config.outputs:
        found["passes"] = config.passes
        if config.passes == "dropout":
            found |= {"dropout_passes": config.dropout_passes, "seed": config.seed}
    return found


def open_image(image: Any, model: Model) -> Picture:
    """Open an image for a model.

    Raises
    ------
    InputError
        U119 when it has other channels than the model wants, and what `as_picture` raises.
    """
    config = model.card.model
    picture = as_picture(image, config.ndim, channels=config.in_channels, name="image")
    lead = (0,) * len(lead_shape(picture, config.ndim))
    found = View(picture, config.ndim, lead).shape[0]
    if found != config.in_channels:
        raise InputError(
            "U119",
            f"model {model.card.name!r} wants {config.in_channels} channel(s), "
            f"{picture.name} has {found} (axes {picture.axes})",
            "choose an image like those it was trained on",
        )
    return picture


def choose_outputs(config: PredictConfig, model: Model) -> PredictConfig:
    """Return `config` with the outputs that the model gives by nature, where none are named.

    Raises InputError U151 for outputs that it does not have.
    """
    both = {"attention", "uncertainty", "loss"}
    own = {"values"} if model.card.target else {"classes", "probabilities", "instances"}
    wanted = config.outputs or (("values",) if model.card.target else ("classes",))
    missing = [name for name in wanted if name not in own | both]
    if missing:
        what = "values" if model.card.target else "classes"
        raise InputError(
            "U151",
            f"model {model.card.name!r} tells {what}: it has no {', '.join(missing)}",
            f"choose from {', '.join(sorted(own))}",
        )
    if "attention" in wanted and not gate_strides(model.card.model):
        raise InputError(
            "U151",
            f"{model.card.model.architecture!r} has no attention gates",
            "choose a model with architecture 'attention', or other outputs",
        )
    if "uncertainty" in wanted and config.passes == "dropout" and not model.card.model.dropout:
        raise InputError(
            "U151", f"model {model.card.name!r} has no dropout", "choose passes orientations"
        )
    return config.model_copy(update={"outputs": wanted})
