"""The paragraph on methods that a paper needs, written from the card and the settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_unet.config import ARCHITECTURES

if TYPE_CHECKING:
    from napari_unet.config import TrainConfig
    from napari_unet.library.card import Card


def methods_paragraph(card: Card, config: TrainConfig) -> str:
    """Return a paragraph in Markdown that says how the model was made."""
    architecture = ARCHITECTURES[card.model.architecture]
    training = card.training
    best = training.get("best", {})
    held_out = training["held_out"]
    score = (
        f"The network with the best mean foreground Dice on {held_out} held-out image(s) was kept "
        f"(Dice {best['dice']:.3f}, Jaccard {best['jaccard']:.3f})."
        if held_out and "dice" in best
        else "No image was held out; the scores on the card are those of the training images."
    )
    origin = f" It was fine-tuned from {card.parent}." if card.parent else ""
    return (
        f"A {card.model.ndim}-D {architecture.title} ({architecture.paper}) with "
        f"{card.model.depth} levels below the first and {card.model.base} filters at the first "
        f"was trained on {training['images']} image(s) for {training['steps']} steps "
        f"({training['elapsed_s'] / 60:.1f} minutes).{origin} Grey values were normalised per "
        f"image ({config.normalisation}). The loss was {config.loss.replace('_', ' ')}, "
        f"{_weights(config)}. It was minimised with {config.optimiser.name} (rate "
        f"{config.optimiser.rate:g}, {config.optimiser.schedule.replace('_', ' ')} schedule, "
        f"weight decay {config.optimiser.decay:g}, seed {config.seed}). Patches were flipped, "
        f"rotated by up to {config.augment.rotate_deg:g} degrees, zoomed by up to "
        f"{config.augment.scale:.0%} and deformed elastically ({config.augment.elastic_px:g} px "
        f"on a 3 x 3 grid). {score} Images are predicted tile by tile with mirrored borders, "
        f"with a context measured from the network, so that tiling does not change the result. "
        f"Made with napari-unet-lab {card.environment['napari-unet-lab']} and PyTorch "
        f"{card.environment['torch']}.\n"
    )


def _weights(config: TrainConfig) -> str:
    balance = "weighted to balance the classes" if config.weights.balance_classes else "unweighted"
    if not config.weights.w0:
        return balance
    return (
        f"{balance}, with a border term (w0 = {config.weights.w0:g}, "
        f"sigma = {config.weights.sigma:g})"
    )
