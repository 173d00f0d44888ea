"""A model opened for use: its card, its network, and whether both are what they were."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_unet.config import ModelFileError, PredictConfig
from napari_unet.library.folders import PROBE, WEIGHTS, read_tensors, verify
from napari_unet.models.device import exact, place
from napari_unet.models.registry import build
from napari_unet.models.trial import trust

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from torch import nn

    from napari_unet.config.prediction import Output
    from napari_unet.library.card import Card
    from napari_unet.tiling import Geometry

PROBE_TOLERANCE = 1e-3  # of the spread of the stored output; kernels of other devices differ


@dataclass(frozen=True, slots=True)
class Model:
    """A trained network with its card; made by `open_model`."""

    folder: Path
    card: Card
    network: nn.Module
    device: torch.device
    notes: tuple[str, ...] = ()  # what the user should know of the device

    @property
    def geometry(self) -> Geometry:
        """What the network does to space."""
        return self.card.geometry.value()

    def predict(
        self,
        image: Any,
        tile: int | str = "auto",
        outputs: tuple[Output, ...] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Apply the model to an image of any size.

        Parameters
        ----------
        image : array, path or Picture
            With the spatial axes last; leading axes are looped over.
        tile : int, "auto" or "rows"
            Edge of the tiles in pixels; does not change the result.
        outputs : tuple of str
            Any of "classes", "probabilities", "instances", "uncertainty" and "attention"; of a
            regression model "values", "uncertainty" and "attention". None: probabilities and
            classes, or values.

        Returns
        -------
        dict
            "classes" (*S) label values, "probabilities" (K, *S) float32, "values" float32 in the
            units of the target, (*S) or with several channels (K, *S), "instances" (*S) uint32,
            "uncertainty" (*S) float32, "attention/<gate>".
        """
        from napari_unet.inference.predict import predict

        results: dict[str, NDArray[Any]] = {}
        if outputs is None:
            outputs = ("values",) if self.card.target else ("probabilities", "classes")
        config = PredictConfig.model_validate({"outputs": outputs, "tile": tile})
        for _ in predict(self, image, results, config):
            pass
        return results


def open_model(folder: str | Path, device: str = "auto") -> Model:
    """Open a model folder, checking every checksum and the probe.

    Parameters
    ----------
    folder : str or Path
        A folder made by `train`.
    device : str
        auto, cpu, cuda, cuda:1 or mps.

    Raises
    ------
    ModelFileError
        U140 no model, U141 damaged or altered, U143 parameters of another network, U144 the
        probe gives other numbers than when the model was made, U145 a newer format.
    InputError
        U160 no such device, U163 one that gives wrong numbers.
    """
    folder = Path(folder)
    where, notes = trust(device)
    card = verify(folder)
    with torch.device("meta"):  # nothing is allocated before the parameters are known to fit
        network = build(card.model)
    _load(network, read_tensors(folder, WEIGHTS, card), folder)
    place(network, where, card.model.ndim).eval()
    model = Model(folder, card, network, where, notes)
    difference = probe_difference(model)
    if not difference <= PROBE_TOLERANCE:
        raise ModelFileError(
            "U144",
            f"{folder} gives other numbers than when it was made (difference {difference:.2g} "
            f"of the spread, at most {PROBE_TOLERANCE:g})",
            "try device cpu, or update torch",
        )
    return model


def probe_difference(model: Model) -> float:
    """Return the largest difference on the stored probe, over the spread of its output."""
    stored = read_tensors(model.folder, PROBE, model.card)
    config = model.card.model
    image = stored.get("image", np.empty(0, np.float32))
    if image.shape[:1] != (config.in_channels,) or image.ndim != config.ndim + 1:
        raise ModelFileError("U143", f"{model.folder}: the probe is no image for it", _REPAIR)
    with torch.inference_mode(), exact():
        logits = model.network(torch.from_numpy(image)[None].to(model.device))[0].cpu().numpy()
    if "logits" not in stored or stored["logits"].shape != logits.shape:
        raise ModelFileError("U143", f"{model.folder}: the probe has another size", _REPAIR)
    spread = float(stored["logits"].std()) or 1.0
    return float(np.abs(logits - stored["logits"]).max()) / spread


def _load(network: nn.Module, arrays: Mapping[str, NDArray[Any]], folder: Path) -> None:
    """Load parameters whose names, shapes and dtypes are exactly the network's."""
    own = network.state_dict()
    if set(own) != set(arrays):
        odd = sorted(set(own) ^ set(arrays))[:5]
        raise ModelFileError("U143", f"{folder}: parameters do not fit: {', '.join(odd)}", _REPAIR)
    tensors = {name: torch.from_numpy(a) for name, a in arrays.items()}
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape or tensor.dtype != own[name].dtype:
            raise ModelFileError(
                "U143",
                f"{folder}: {name} is {tensor.dtype} {tuple(tensor.shape)}, the network wants "
                f"{own[name].dtype} {tuple(own[name].shape)}",
                _REPAIR,
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ModelFileError("U144", f"{folder}: {name} is not finite", "train it again")
    network.load_state_dict(tensors, assign=True)


_REPAIR = "the card and the parameters belong to different models: use a copy"
