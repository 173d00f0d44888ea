"""What every config obeys: it survives JSON, cannot change, explains and bounds itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import napari_unet.config as config_room
from napari_unet.config import Config, EvaluateConfig, LabelConfig, explain
from tests.config.strategies import configs

CONFIGS = [
    kind
    for kind in map(config_room.__dict__.get, config_room.__all__)
    if isinstance(kind, type) and issubclass(kind, Config) and kind is not Config
]
FIELDS = [(kind, name) for kind in CONFIGS for name in kind.model_fields]
every_config = pytest.mark.parametrize("kind", CONFIGS)
every_field = pytest.mark.parametrize(
    ("kind", "name"), FIELDS, ids=lambda x: getattr(x, "__name__", x)
)

# a label value: any number may stand in an image
NOT_A_QUANTITY = {(LabelConfig, "ignore"), (EvaluateConfig, "ignore")}


@every_config
@given(data=st.data())
def test_what_is_valid_survives_json(kind: type[Config], data: st.DataObject) -> None:
    settings = data.draw(configs(kind))
    try:
        config = kind.model_validate(settings)
    except ValidationError as error:  # settings that are legal alone may contradict one another
        if explain(error).code not in {"U151", "U152"}:
            raise
    else:
        assert kind.model_validate_json(config.model_dump_json()) == config


@every_config
def test_every_setting_has_a_default(kind: type[Config]) -> None:
    assert kind.model_validate({}) == kind()


@every_field
def test_a_config_cannot_change(kind: type[Config], name: str) -> None:
    config = kind()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(config, name, getattr(config, name))


@every_config
def test_an_unknown_setting_is_refused_by_name(kind: type[Config]) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate({"sgima": 5})
    error = explain(caught.value)
    assert error.code == "U150"
    assert "'sgima'" in error.what


@every_field
def test_every_setting_says_what_it_does(kind: type[Config], name: str) -> None:
    text = kind.model_fields[name].description
    assert text is not None
    assert text.endswith(".")
    assert len(text) < 160  # it is a tooltip


def forms(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """List the alternatives of one property of a JSON schema."""
    return schema.get("anyOf", [schema])


@every_field
def test_every_quantity_has_a_range(kind: type[Config], name: str) -> None:
    schema = kind.model_json_schema()["properties"][name]
    for form in forms(schema):
        item = form.get("items", form)
        if item.get("type") in {"integer", "number"} and (kind, name) not in NOT_A_QUANTITY:
            assert {"minimum", "exclusiveMinimum"} & set(item), "no lower bound"


@every_field
def test_what_lies_outside_the_range_is_told_in_one_line(kind: type[Config], name: str) -> None:
    schema = kind.model_json_schema()["properties"][name]
    bounds = {key: value for form in forms(schema) for key, value in form.items()}
    for key, step in {
        "minimum": -1,
        "exclusiveMinimum": 0,
        "maximum": 1,
        "exclusiveMaximum": 0,
    }.items():
        if key in bounds:
            with pytest.raises(ValidationError) as caught:
                kind.model_validate({name: bounds[key] + step})
            error = explain(caught.value)
            assert error.code == "U150"
            assert name in error.what
            assert "\n" not in str(error)
