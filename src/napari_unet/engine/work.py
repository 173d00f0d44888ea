"""What each job does: the one place where orders meet the core."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.arrays.files import open_picture
from napari_unet.arrays.source import as_picture
from napari_unet.arrays.writing import create_arrays
from napari_unet.config import InputError
from napari_unet.engine.jobs import (
    ArrayRef,
    Ask,
    CheckJob,
    CheckTilesJob,
    CompareJob,
    Correct,
    DescribeJob,
    Focus,
    Job,
    PlanJob,
    PredictJob,
    SamplesJob,
    TrainJob,
)
from napari_unet.events import Event, Finished, Noted, Started

if TYPE_CHECKING:
    from napari_unet.arrays.axes import Picture
    from napari_unet.config import PredictConfig
    from napari_unet.engine.jobs import Question
    from napari_unet.training import asking

JobStream = Generator[Event, "Question | None", None]


def run_job(job: Job) -> JobStream:
    """Return the events of a job, as they happen. Torch is imported here, not before.

    Questions that are sent into it reach a training; where the user looks, a prediction too.
    What a job changed for the whole process is undone for the next one: the number of
    threads, and the memory of the graphics card that torch would keep at hand.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        yield from _events(job)
    finally:
        torch.set_num_threads(threads)
        if torch.accelerator.is_available():
            gc.collect()
            torch.accelerator.empty_cache()


def _events(job: Job) -> JobStream:
    match job:
        case PredictJob():
            return _predict(job)
        case PlanJob():
            return _plan(job)
        case CheckTilesJob():
            return _check_tiles(job)
        case TrainJob():
            return _train(job)
        case SamplesJob():
            return _samples(job)
        case CompareJob():
            return _compare(job)
        case DescribeJob() | CheckJob():
            return _examine(job)


def _train(job: TrainJob) -> JobStream:
    from napari_unet.training.loop import train

    pairs = _pairs(job)
    stream = train(job.config, pairs, job.folder, parent=job.parent, resume=job.resume)
    pictures = [image for image, _ in pairs]
    yield from _ask(stream, lambda question: _understand(question, job, pictures))


def _understand(
    question: Question, job: TrainJob, pictures: Sequence[Picture]
) -> asking.Question | None:
    """Turn an order into a question to the core; None where it makes no sense to a training."""
    from napari_unet.training.asking import Correction, Doubts, Losses, View

    match question:
        case Focus(image=ArrayRef() as image):
            picture = _picture(image, job.config.model.ndim)
            return View(picture, question.point, question.out, question.pair)
        case Ask(about="loss"):
            return Losses(question.out)
        case Ask():
            return Doubts(pictures)
        case Correct(pairs=pairs):
            return Correction(_pairs(job.model_copy(update={"pairs": pairs})))
        case _:
            return None


def _ask(stream: Generator[Event, Any, None], understand: Callable[[Question], Any]) -> JobStream:
    """Relay a stream and put the questions to it that come in, as it understands them."""
    try:
        question: Any = None
        event = next(stream)
        while True:
            question = yield event
            try:
                asked = None if question is None else understand(question)
            except InputError as error:  # of the question; the job goes on
                event = Noted(f"{error.what}: {error.remedy}")
            else:
                event = stream.send(asked)
    except StopIteration:
        return
    finally:
        stream.close()


def _examine(job: DescribeJob | CheckJob) -> JobStream:
    if isinstance(job, DescribeJob):
        from napari_unet.models.describe import describe

        yield Finished(summary=describe(job.config))
    else:
        from napari_unet.inference.model import open_model, probe_difference

        difference = probe_difference(open_model(job.model))
        yield Finished(job.model, {"probe_difference": difference})


def _predict(job: PredictJob) -> JobStream:
    from napari_unet.inference.predict import predict
    from napari_unet.library.folders import read_card

    card = read_card(job.model)
    truth = None
    if job.truth is not None:
        truth = _picture(job.truth, card.model.ndim, labels=card.kind != "regression")
    stream = predict(
        job.model,
        _picture(job.image, card.model.ndim),
        job.out,
        job.config,
        focus=job.focus,
        resume=job.resume,
        truth=truth,
    )
    yield from _ask(stream, lambda question: getattr(question, "point", None))


def _plan(job: PlanJob) -> JobStream:
    from napari_unet.inference.model import open_model
    from napari_unet.inference.plan import plan_prediction

    _use_threads(job.config)
    model = open_model(job.model, job.config.device)
    picture = _picture(job.image, model.card.model.ndim)
    plan = plan_prediction(model, picture, job.config, interactive=True, timed=True)
    yield Finished(job.model, {**asdict(plan), "words": str(plan)})


def _check_tiles(job: CheckTilesJob) -> JobStream:
    from napari_unet.inference.check import check_tiles
    from napari_unet.inference.model import open_model

    _use_threads(job.config)
    model = open_model(job.model, job.config.device)
    picture = _picture(job.image, model.card.model.ndim)
    yield Finished(job.model, check_tiles(model, picture, job.config, job.seed))


def _use_threads(config: PredictConfig) -> None:
    """Compute with as many threads as the prediction would; `run_job` takes that back."""
    if config.threads:
        import torch

        torch.set_num_threads(config.threads)


def _samples(job: SamplesJob) -> JobStream:
    """Write the patches of the first steps, as the network would get them."""
    from napari_unet.training.loop import prepare

    run, _ = prepare(job.config, _pairs(job), job.out)
    group = create_arrays(job.out)
    yield Started(job.count)
    batches = [run.draw(step)[0] for step in range(math.ceil(job.count / run.batch))]
    image, truth, weights = (
        np.concatenate([x.cpu().numpy() for x in parts])[: job.count]
        for parts in zip(*batches, strict=True)
    )
    arrays: dict[str, Any] = {"image": image, "weights": weights}
    if run.data.target:
        arrays["values"] = truth
    else:
        arrays["classes"] = truth.astype(np.uint8)
    for name, array in arrays.items():
        group.create_array(name, data=array)
    yield Finished(job.out, {"count": job.count})


def _compare(job: CompareJob) -> JobStream:
    from napari_unet.inference.compare import compare

    test = _pairs(job.model_copy(update={"pairs": job.test})) if job.test else None
    yield from compare(job.config, job.architectures, _pairs(job), job.folder, test=test)


def _pairs(job: TrainJob | SamplesJob | CompareJob) -> list[tuple[Picture, Picture]]:
    """Open images and what is to be learned from each: labels, or images in regression."""
    ndim, labels = job.config.model.ndim, job.config.labels.kind != "regression"
    return [(_picture(i, ndim), _picture(k, ndim, labels=labels)) for i, k in job.pairs]


def _picture(reference: ArrayRef, ndim: int, *, labels: bool = False) -> Picture:
    """Open what a reference points to; what it says of axes, spacing and name wins."""
    if reference.axes is None:
        picture = as_picture(reference.path, ndim, labels=labels)
    else:
        picture = open_picture(reference.path, ndim=ndim, axes=reference.axes, labels=labels)
    return replace(
        picture,
        spacing=reference.spacing or picture.spacing,
        unit=reference.unit if reference.spacing else picture.unit,
        name=reference.name or picture.name,
    )
