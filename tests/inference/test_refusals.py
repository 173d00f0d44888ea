"""What cannot be predicted is refused before anything is written; what fails leaves no result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.arrays.writing import write_tiff
from napari_unet.config import InputError, PredictConfig
from napari_unet.events import Started, TileDone
from napari_unet.inference.predict import predict
from napari_unet.models.strips import FlowRunner

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from napari_unet.inference.model import Model

    Models = Callable[..., Model]
    Images = Callable[..., np.ndarray[Any, Any]]

TILED = PredictConfig(tile=16, threads=1)
BAD = {
    "U112": np.zeros((0, 20)),
    "U113": np.zeros(20),
    "U114": np.full((20, 20), np.nan),
    "U116": np.zeros((20, 20), complex),
    "U119": np.ones((20, 22, 3)),
    "U124": "damaged.tif",
    "U126": "none.tif",
}


@pytest.mark.parametrize("name", ["o.tif", "o.zarr", "new/o.zarr"])
@pytest.mark.parametrize("code", BAD)
def test_nothing_is_written_for_an_image_that_cannot_be_used(
    models: Models, untouched: Path, tmp_path: Path, code: str, name: str
) -> None:
    image = BAD[code]
    if isinstance(image, str):
        (tmp_path / "damaged.tif").write_bytes(b"II*\0 no TIFF")
        image = tmp_path / image
    with pytest.raises(InputError) as caught:
        list(predict(models(), image, untouched / name, TILED))
    assert caught.value.code == code


def test_one_channel_of_nothing_is_enough_to_refuse(
    models: Models, picture: Images, untouched: Path
) -> None:
    image = picture(20, 22, 3)
    image[..., 1] = np.nan
    with pytest.raises(InputError, match=r"U114: channel 1"):
        list(predict(models(channels=3), image, untouched / "o.zarr", TILED))


@pytest.mark.parametrize(
    ("name", "outputs", "code"),
    [
        ("o.png", ("classes",), "U130"),
        ("o", ("classes",), "U130"),
        ("o.tif", ("classes", "probabilities"), "U151"),
        ("o.tif", ("attention",), "U151"),
        ("o.zarr", ("attention",), "U151"),
        ("o.zarr", ("values",), "U151"),
        ("o.zarr", ("loss",), "U151"),
    ],
)
def test_nothing_is_written_where_the_output_does_not_fit(
    models: Models, picture: Images, untouched: Path, name: str, outputs: Any, code: str
) -> None:
    config = PredictConfig(outputs=outputs, threads=1)
    with pytest.raises(InputError, match=code):
        list(predict(models(), picture(20, 20), untouched / name, config))


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"region": ((0, 10),)}, r"U150.*1 axes, image has Y 20, X 24"),
        ({"region": ((0, 10), (5, 25))}, r"U150.*0:10, 5:25 lies beyond"),
        ({"outputs": ("uncertainty",), "passes": "dropout"}, "U151.*no dropout"),
    ],
)
def test_nothing_is_written_for_settings_that_do_not_fit(
    models: Models, picture: Images, untouched: Path, settings: Any, code: str
) -> None:
    config = PredictConfig.model_validate({"threads": 1, **settings})
    with pytest.raises(InputError, match=code):
        list(predict(models(), picture(20, 24), untouched / "o.zarr", config))


def test_an_outline_needs_a_plane(models: Models, picture: Images, untouched: Path) -> None:
    config = PredictConfig(outline=((0, 0), (0, 9), (9, 9)), threads=1)
    with pytest.raises(InputError, match="U151"):
        list(predict(models("unet", 1), picture(200), untouched / "o.zarr", config))


def test_truth_of_another_shape_is_refused(
    models: Models, picture: Images, untouched: Path
) -> None:
    config, truth = PredictConfig(outputs=("loss",), threads=1), np.ones((20, 25), int)
    stream = predict(models(), picture(20, 24), untouched / "o.zarr", config, truth=truth)
    with pytest.raises(InputError, match=r"U102.*20x25.*20x24"):
        list(stream)


def test_what_is_there_is_not_replaced(models: Models, picture: Images, tmp_path: Path) -> None:
    (tmp_path / "folder.tif").mkdir()
    (tmp_path / "file").write_text("mine")
    zarr.create_array(store=tmp_path / "mine.zarr", data=np.ones(3))
    for name in ("folder.tif", "file/o.tif", "mine.zarr", "file/o.zarr"):
        with pytest.raises(InputError, match="U130"):
            list(predict(models(), picture(20, 20), tmp_path / name, TILED))
    assert zarr.open_array(tmp_path / "mine.zarr", mode="r").shape == (3,)


def test_the_image_itself_is_not_replaced(models: Models, picture: Images, tmp_path: Path) -> None:
    image = tmp_path / "i.tif"
    write_tiff(image, picture(20, 20), "YX")
    list(predict(models(), image, tmp_path / "o.zarr", TILED))
    before = image.read_bytes()
    for source, out in ((image, image), (tmp_path / "o.zarr/classes", tmp_path / "o.zarr")):
        with pytest.raises(InputError, match="U130"):
            list(predict(models(), source, out, TILED))
    assert image.read_bytes() == before
    assert zarr.open_array(tmp_path / "o.zarr/classes", mode="r").shape == (20, 20)


@pytest.mark.parametrize("end", ["closed", "failed"])
def test_half_a_prediction_is_not_taken_for_a_whole_one(
    models: Models, picture: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, end: str
) -> None:
    model, image = models(), picture(40, 40)
    list(predict(model, image, tmp_path / "o.zarr", TILED))
    assert zarr.open_group(tmp_path / "o.zarr").attrs["complete"] is True
    for name in ("o.tif", "o.zarr"):
        stream = predict(model, image, tmp_path / name, TILED)
        while not isinstance(next(stream), TileDone):
            pass
        if end == "closed":
            stream.close()
            continue
        with monkeypatch.context() as patch:
            patch.setattr(FlowRunner, "begin", _fail)
            with pytest.raises(RuntimeError, match="of ours"):
                list(stream)
    parts = [tmp_path / ".napari-unet-o.tif.zarr", tmp_path / "o.zarr"]  # to go on with
    assert sorted(tmp_path.iterdir()) == parts
    assert not any("complete" in zarr.open_group(part).attrs for part in parts)


def _fail(*_arguments: Any) -> None:
    raise RuntimeError("a fault of ours")


def test_a_later_plane_without_a_finite_pixel_ends_the_prediction(
    models: Models, picture: Images, tmp_path: Path
) -> None:
    stack = picture(3, 20, 20)
    stack[1] = np.nan
    stream = predict(models(), stack, tmp_path / "o.zarr", TILED)
    assert isinstance(next(stream), Started)
    with pytest.raises(InputError, match=r"U114.*\[1\]"):
        list(stream)
    assert "complete" not in zarr.open_group(tmp_path / "o.zarr").attrs
