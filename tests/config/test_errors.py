"""An error tells its code, what happened and what to do, in one line."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from napari_unet.config import (
    InputError,
    ModelConfig,
    ModelFileError,
    StorageError,
    TrainConfig,
    explain,
)


@pytest.mark.parametrize("kind", [InputError, ModelFileError, StorageError])
def test_the_family_says_code_what_and_remedy(kind: type[InputError]) -> None:
    error = kind("U102", "labels 4x5 do not match image 5x4", "transpose the labels")
    assert isinstance(error, InputError)
    assert isinstance(error, ValueError)
    assert str(error) == "U102: labels 4x5 do not match image 5x4: transpose the labels"
    assert (error.code, error.what, error.remedy) == tuple(str(error).split(": "))


def test_an_error_of_ours_comes_through_validation_unchanged() -> None:
    with pytest.raises(ValidationError) as caught:
        ModelConfig(architecture="transformer")
    error = explain(caught.value)
    assert error.code == "U150"
    assert "'transformer'" in error.what
    assert "unet2015" in error.remedy


def test_the_place_of_a_nested_setting_is_named() -> None:
    with pytest.raises(ValidationError) as caught:
        TrainConfig.model_validate({"model": {"depth": 99}})
    assert explain(caught.value).what == "model.depth = 99"
