"""The paragraph on methods that a paper needs, written from the card and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.arrays.pixel_size import size_in_words
from napari_unet.arrays.units import UNIT
from napari_unet.config import ARCHITECTURES

if TYPE_CHECKING:
    from napari_unet.config import AugmentConfig, TrainConfig
    from napari_unet.library.card import Card


def methods_paragraph(card: Card, config: TrainConfig) -> str:
    """Return a paragraph in Markdown that says how the model was made."""
    architecture = ARCHITECTURES[card.model.architecture]
    training = card.training
    origin = f" It was fine-tuned from {card.parent}." if card.parent else ""
    return (
        f"A {card.model.ndim}-D {architecture.title} ({architecture.paper}) with {_shape(card)} "
        f"was trained on {training['images']} image(s){_pixels(card)} for "
        f"{training['steps']} steps ({training['elapsed_s'] / 60:.1f} minutes){_halved(card)}."
        f"{origin} "
        f"Grey values were normalised per image ({card.normalisation}). {_loss(card, config)} "
        f"It was minimised with {config.optimiser.name} (rate {config.optimiser.rate:g}, "
        f"{config.optimiser.schedule.replace('_', ' ')} schedule, "
        f"weight decay {config.optimiser.decay:g}, seed {config.seed}). "
        f"{_variation(config.augment, card.model.ndim)} {_score(card)} Images are predicted tile "
        f"by tile with mirrored borders, with a context measured from the network, so that tiling "
        f"does not change the result. Made with napari-unet-lab "
        f"{card.environment['napari-unet-lab']} and PyTorch {card.environment['torch']}.\n"
    )


def _halved(card: Card) -> str:
    """Say in which numbers it was trained, where these were not of full precision."""
    precision = card.training.get("precision", "float32")  # older cards do not say
    return "" if precision == "float32" else f" in mixed precision ({precision})"


def _pixels(card: Card) -> str:
    """Say how large the pixels were, where that is known."""
    known = card.spacing if card.unit == UNIT else None
    return f" at a pixel size of {size_in_words(known)}" if known else ""


def _shape(card: Card) -> str:
    """Say which form of the network it is, how deep and how wide."""
    model = card.model
    forms = ARCHITECTURES[model.architecture].variants
    form = f" (form {model.variant!r})" if len(forms) > 1 else ""
    words = f"{model.depth} levels below the first and {model.base} filters at the first{form}"
    if model.halvings is None:
        return words
    counts = ", ".join(map(str, model.halvings))
    return f"{words} (axes {card.axes[1:]} halved {counts} times)"


def _score(card: Card) -> str:
    """Say which network was kept, and how well it did."""
    best, held_out = card.training.get("best", {}), card.training["held_out"]
    if not held_out:
        return "No image was held out; the scores on the card are those of the training images."
    which, scores = "smallest loss", ""
    if card.target and "mae" in best:
        scores = f" (MSE {best['mse']:.4g}, MAE {best['mae']:.4g})"
    elif "dice" in best:
        which = "best mean foreground Dice"
        scores = f" (Dice {best['dice']:.3f}, Jaccard {best['jaccard']:.3f})"
    return f"The network with the {which} on {held_out} held-out image(s) was kept{scores}."


def _variation(config: AugmentConfig, ndim: int) -> str:
    """Say how patches were varied."""
    grey = {
        "brightness": config.brightness, "contrast": config.contrast, "noise": config.noise,
    }  # fmt: skip
    ways = {
        "flipped": config.flip,
        f"rotated by up to {config.rotate_deg:g} degrees": ndim > 1 and config.rotate_deg,
        f"zoomed by up to {config.scale:.0%}": config.scale,
        f"deformed elastically (spread {config.elastic_px:g} px, at most a twelfth of the patch, "
        "on a grid of 3 nodes per axis)": config.elastic_px,
        f"varied in {_listed([name for name, size in grey.items() if size])}": any(grey.values()),
    }
    return f"Patches were {_listed([words for words, used in ways.items() if used])}."


def _listed(words: list[str]) -> str:
    """Write words as "a, b and c"; none as "not varied"."""
    if len(words) < 2:
        return words[0] if words else "not varied"
    return f"{', '.join(words[:-1])} and {words[-1]}"


def _loss(card: Card, config: TrainConfig) -> str:
    """Say what was minimised, against what."""
    name = config.loss.replace("_", " ")
    if not card.target:
        return f"The loss was {name}, {_weights(config)}."
    scales = ", ".join(f"mean {each.mean:.4g}, spread {each.spread:.4g}" for each in card.target)
    return f"The loss was {name} on values normalised over the training images ({scales})."


def _weights(config: TrainConfig) -> str:
    weights = config.weights
    if weights.formula == "falk2019":
        return (
            f"weighted as by Falk et al. 2019 (w0 = {weights.w0:g}, sigma = {weights.sigma:g}, "
            f"sigma_near = {weights.sigma_near:g}, ratio = {weights.ratio:g})"
        )
    balance = "weighted to balance the classes" if weights.balance_classes else "unweighted"
    if not weights.w0:
        return balance
    return f"{balance}, with a border term (w0 = {weights.w0:g}, sigma = {weights.sigma:g})"
