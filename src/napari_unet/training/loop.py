"""The training loop, as a generator of events."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_unet.arrays.writing import check_writable
from napari_unet.config import REGRESSION, InputError, ModelFileError, TrainConfig
from napari_unet.events import Finished, Noted, Prepared, Saved, Started
from napari_unet.library.checkpoints import FOLDER as CHECKPOINTS
from napari_unet.library.checkpoints import load_checkpoint, settings_of
from napari_unet.library.folders import CARD, WEIGHTS, read_card, read_tensors, verify
from napari_unet.library.split import SplitCard
from napari_unet.metrics.course import CORRECTED
from napari_unet.models.device import is_out_of_memory
from napari_unet.models.trial import trust
from napari_unet.training.answering import answer
from napari_unet.training.data import load_data
from napari_unet.training.doubts import find_doubts
from napari_unet.training.plan import fit
from napari_unet.training.ranks import ALONE
from napari_unet.training.record import write_record
from napari_unet.training.run import Run

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_unet.events import TrainEvent
    from napari_unet.library.card import Card
    from napari_unet.training.asking import Question
    from napari_unet.training.pairs import Pair
    from napari_unet.training.ranks import Ranks

    Checkpoint = tuple[dict[str, NDArray[Any]], dict[str, Any]]
    TrainStream = Generator[TrainEvent, Question | None, None]


def train(
    config: TrainConfig,
    pairs: Sequence[Pair],
    folder: str | Path,
    *,
    parent: str | Path | None = None,
    resume: bool = False,
    split: SplitCard | None = None,
    ranks: Ranks = ALONE,
) -> TrainStream:
    """Train a model and keep it in `folder`, yielding what happens as it happens.

    Close the generator to stop early: the best network so far becomes the model, and a
    checkpoint is written from which `resume=True` goes on. To pause, do not ask for the next
    event; the clock of a budget in minutes stands still meanwhile. A question that is sent into
    the generator (see `asking`) is answered by the next event, before the next step; except for
    a `Correction`, no answer changes what is learned.

    Parameters
    ----------
    config : TrainConfig
        What to learn and how. Channels and classes follow the data, and so does what `plan`
        and `normalisation` leave open.
    pairs : sequence of (image, labels)
        Pictures, arrays or paths; in regression an image takes the place of the labels. See
        `load_data`.
    folder : str or Path
        The model folder to be; must not hold a model yet, unless it is resumed.
    parent : str or Path, optional
        A model to fine-tune: its network and its normalisation are taken over.
    resume : bool
        Go on from the newest intact checkpoint; the budget may have grown, and counts from the
        beginning of the run. On a CPU with the same number of threads the
        final parameters are bit-identical to those of a run that was never stopped (when the
        budget is in epochs).
    split : SplitCard, optional
        What to hold out; else that of the checkpoint, or what the parent held out of the same
        images, or what `hold_out` decides.
    ranks : Ranks
        Who this process is among those that `torchrun` has started (see `ranks.joined`). All get
        the same events, and must close the generator after the same one.

    Raises
    ------
    InputError
        Before anything is written, for whatever cannot be used.
    """
    run, notes = prepare(config, pairs, folder, parent, resume=resume, split=split, ranks=ranks)
    yield from _tell(run, Started(run.total_steps))
    kind, split_card = run.config.labels.kind, run.data.split.model_dump(mode="json")
    yield from _tell(run, Prepared(kind, split_card))
    for note in notes:
        yield from _tell(run, Noted(note))
    if run.relabelled:
        yield from _tell(run, Noted(_relabelled(run.relabelled), CORRECTED))
    for doubt in find_doubts(run.data):
        yield from _tell(run, doubt)
    try:
        yield from _learn(run)
    except GeneratorExit:
        run.save()  # before a validation that an undisturbed run would not have made here
        if run.step and not run.best:
            run.validate()
        write_record(run)
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise InputError(
            "U161",
            f"out of memory at step {run.step + 1} (batch {run.batch}, "
            f"patches of {'x'.join(map(str, run.sampler.sizes[0]))} pixels)",
            "choose a smaller batch, patch or base",
        ) from error
    finally:
        run.close()
    card = write_record(run)
    yield Saved(str(run.folder), run.step)
    yield Finished(str(run.folder), dict(card.training))


def _learn(run: Run) -> TrainStream:
    """Step, validate and save until the budget is used up."""
    if run.done and not run.best:  # an untrained model is a valid model
        yield from _tell(run, run.validate())
    while run.losses or not run.done:  # a run that was stopped after its last step owes a score
        while not run.done and run.step < (run.epoch + 1) * run.steps_per_epoch:
            yield from _tell(run, run.take_step())
            for note in run.take_notes():
                yield from _tell(run, Noted(note))
            if run.save_is_due:
                yield from _tell(run, Saved(str(run.save()), run.step))
        yield from _tell(run, run.validate())
        if run.view is not None:
            yield from _tell(run, answer(run, run.view))
        yield from _tell(run, Saved(str(run.save()), run.step))


def _relabelled(images: int) -> str:
    """Say that labels are not those that a run was trained on before."""
    whose = "an image" if images == 1 else f"{images} images"
    return f"the labels of {whose} changed since: the best network is found anew"


def _tell(run: Run, event: TrainEvent) -> TrainStream:
    """Yield an event, and answer what is asked meanwhile."""
    question = yield event
    while question is not None:
        question = yield answer(run, question)


def prepare(
    config: TrainConfig,
    pairs: Sequence[Pair],
    folder: str | Path,
    parent: str | Path | None = None,
    *,
    resume: bool = False,
    split: SplitCard | None = None,
    ranks: Ranks = ALONE,
) -> tuple[Run, list[str]]:
    """Check everything and return a run that is ready to step, with what the user should know.

    Writes nothing. Parameters and errors are those of `train`.
    """
    folder = Path(folder)
    checkpoint = load_checkpoint(folder) if resume else None
    if checkpoint is None:
        _check_free(folder, resume=resume)
    check_writable(folder / CARD)
    device, doubts = trust(ranks.name(config.device))
    card = verify(parent) if parent is not None else None
    own = _own_card(folder) if checkpoint is not None and card is None else None
    if card is not None:
        config = _inherit(config, card)
    config = _keep_findings(config, checkpoint)
    known, kept = card or own, card is not None
    data = load_data(config, pairs, known, split or _held_out(checkpoint), keep_network=kept)
    _check_channels(card, data.channels)
    config, planned = fit(config, data, device, keep_network=kept)
    config = ranks.agree_on(config)
    data = replace(data, notes=(*doubts, *data.notes, *planned, *ranks.tell(config, device)))
    notes = list(data.notes)
    if config.threads:
        torch.set_num_threads(config.threads)
    run = Run(config, data, folder, device, ranks)
    run.parent = own.parent if own is not None else _name_of(parent, card)
    if checkpoint is not None:
        _same_settings(config, checkpoint)
        run.restore(*checkpoint)
        notes.append(f"resumed at step {run.step}")
    elif parent is not None and card is not None:
        notes += _take_over(run, Path(parent), card)
    elif resume:
        notes.append("there is no checkpoint yet: training begins anew")
    return run, notes


def _check_free(folder: Path, *, resume: bool) -> None:
    """Refuse to write over a model, or over what an interrupted run has learned."""
    held = "a model" if (folder / CARD).exists() else ""
    if not held and not resume and any(folder.glob(f"{CHECKPOINTS}/*.safetensors")):
        held = "an unfinished training"
    if held:
        raise InputError(
            "U131", f"{folder} already holds {held}", "choose another name, or resume it"
        )


def _inherit(config: TrainConfig, card: Card) -> TrainConfig:
    """Take the network, the size of its pixels and the normalisation of the parent."""
    model = card.model
    if card.target and config.loss not in REGRESSION:  # its logits are values, not classes
        model = model.model_copy(update={"classes": config.model.classes})
    known = card.unit and config.spacing == "first"
    return config.model_copy(
        update={
            "model": model,
            "spacing": card.spacing if known else config.spacing,
            "normalisation": card.normalisation,
            "loss": _loss(config.loss, model.classes),
        }
    )


def _loss(loss: str, logits: int) -> str:
    """Return the loss for as many logits as the parent has."""
    if logits == 1 and loss == "cross_entropy":
        return "bce"
    if logits > 1 and loss == "bce":
        return "cross_entropy"
    return loss


def _check_channels(card: Card | None, channels: int) -> None:
    if card is not None and card.model.in_channels != channels:
        raise InputError(
            "U119",
            f"model {card.name!r} wants {card.model.in_channels} channels, "
            f"the images have {channels}",
            "choose images like those it was trained on",
        )


def _keep_findings(config: TrainConfig, checkpoint: Checkpoint | None) -> TrainConfig:
    """Take what was found out when the run began: by now labels and memory may be others."""
    if checkpoint is None:
        return config
    stored = settings_of(checkpoint[1])
    found: dict[str, Any] = {}
    if config.labels.kind == "auto":
        found["labels"] = config.labels.model_copy(update={"kind": stored.labels.kind})
    if config.plan == "full":
        found["patch"] = config.patch or stored.patch
        found["batch"] = config.batch or stored.batch
    return config.model_copy(update=found)


def _take_over(run: Run, parent: Path, card: Card) -> list[str]:
    """Load what fits of the parent's parameters; say what was replaced."""
    own = run.network.state_dict()
    theirs = read_tensors(parent, WEIGHTS, card)
    fitting = {k: torch.from_numpy(v) for k, v in theirs.items() if own[k].shape == v.shape}
    run.network.load_state_dict({**own, **fitting})
    notes = [f"fine-tuned from {card.name!r}"]
    replaced = sorted(set(own) - set(fitting))
    if replaced:
        what = "channels of values" if card.target else "classes"
        notes.append(
            f"the head was replaced: {card.name!r} has {len(card.target or card.classes)} {what}, "
            f"this run has {len(run.data.names)} ({', '.join(replaced)})"
        )
    return notes


def _held_out(checkpoint: Checkpoint | None) -> SplitCard | None:
    """Return what the run held out when it began; None of a checkpoint that does not say."""
    stored = checkpoint[1].get("split") if checkpoint is not None else None
    return SplitCard.model_validate(stored) if stored is not None else None


def _same_settings(config: TrainConfig, checkpoint: Checkpoint) -> None:
    """Refuse to go on with other settings than those the run began with; budgets may grow.

    The plan itself does not count: what was planned does.
    """
    free = {"epochs", "minutes", "device", "threads", "recipe", "plan"}
    now, then = config.model_dump(), settings_of(checkpoint[1]).model_dump()
    differing = sorted(k for k in now if k not in free and now[k] != then[k])
    if differing:
        raise InputError(
            "U154",
            f"the checkpoint was written with another {', '.join(differing)}",
            "resume with the settings it began with, or train into a new folder",
        )


def _own_card(folder: Path) -> Card | None:
    """Read what a run has become before it was stopped; one that is damaged is written anew."""
    try:
        return read_card(folder)
    except ModelFileError:
        return None


def _name_of(parent: str | Path | None, card: Card | None) -> str | None:
    """Name a parent by its name and the checksum of its card, and then what it came from."""
    if parent is None or card is None:
        return None
    digest = hashlib.sha256((Path(parent) / CARD).read_bytes()).hexdigest()
    before = f", from {card.parent}" if card.parent else ""
    return f"{card.name} ({digest[:16]}){before}"
