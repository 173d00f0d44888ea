"""Any legal value of any config, drawn from the types and ranges of its fields."""

from __future__ import annotations

from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st

from napari_unet.config import (
    ARCHITECTURES,
    LOSSES,
    OPTIONS,
    RECIPES,
    Config,
    ModelConfig,
    TrainConfig,
)

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

EXTENT = st.tuples(st.integers(0, 99), st.integers(1, 99)).map(lambda n: (n[0], n[0] + n[1]))
CORNER = st.tuples(*[st.floats(-9, 9, allow_nan=False)] * 2)
FREE = {
    "region": st.none() | st.lists(EXTENT, min_size=1, max_size=5).map(tuple),
    "outline": st.none() | st.lists(CORNER, min_size=3, max_size=6).map(tuple),
    "names": st.none() | st.just(("0=ground", "3=cell wall:#00ff00", "-1=dirt:#11223344")),
    "architecture": st.sampled_from(sorted(ARCHITECTURES)),
    "loss": st.sampled_from(sorted(LOSSES)),
    "recipe": st.sampled_from([*RECIPES, "custom"]),
}
RUN = {  # of a training: what must fit the network, or one another
    "spacing": st.none() | st.just("first"),
    "fold": st.none(),
}


def configs(kind: type[Config]) -> st.SearchStrategy[dict[str, Any]]:
    """Draw the settings of `kind`, some of them left at their defaults."""
    if kind is ModelConfig:
        return networks()
    fields = {n: values(n, f) for n, f in kind.model_fields.items()}
    return st.fixed_dictionaries({}, optional=fields | (RUN if kind is TrainConfig else {}))


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    """Draw the settings of a network that there is: an architecture and what it has."""
    name = draw(FREE["architecture"])
    has = {*ModelConfig.model_fields} - {*OPTIONS} | {*ARCHITECTURES[name].options}
    own = {
        "variant": st.sampled_from(["", *ARCHITECTURES[name].variants]),
        "kernel": st.sampled_from([3, 5, 7, 9, 11, 13, 15]),
    }
    fields = {
        field: own[field] if field in own else values(field, about)
        for field, about in ModelConfig.model_fields.items()
        if field in has - {"architecture", "halvings", "flat"}
    }
    settings = draw(st.fixed_dictionaries({"architecture": st.just(name)}, optional=fields))
    return settings | draw(axes(ModelConfig(**settings)))


@st.composite
def axes(draw: st.DrawFn, config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Draw what a network of this depth may do to its axes."""
    flat = [draw(st.integers(0, config.depth)) for _ in range(config.ndim)]
    halved = [draw(st.integers(0, config.depth - levels)) for levels in flat]
    each = {"flat": st.just(tuple(flat)), "halvings": st.just(tuple(halved))}
    return draw(st.fixed_dictionaries({}, optional=each))


def values(name: str, field: FieldInfo) -> st.SearchStrategy[Any]:
    """Draw a legal value of one field."""
    return FREE[name] if name in FREE else of_type(field.annotation, field.metadata)


def of_type(kind: Any, bounds: list[Any]) -> st.SearchStrategy[Any]:
    """Draw a value of an annotation within its bounds."""
    if isinstance(kind, type) and issubclass(kind, Config):
        return configs(kind)
    if get_origin(kind) is Literal:
        return st.sampled_from(get_args(kind))
    if get_origin(kind) is Annotated:
        plain_kind, *notes = get_args(kind)
        return of_type(plain_kind, [m for note in notes for m in getattr(note, "metadata", [note])])
    if get_origin(kind) is tuple:
        return st.lists(of_type(get_args(kind)[0], []), min_size=1, max_size=3).map(tuple)
    if get_args(kind):
        return st.one_of([of_type(part, bounds) for part in get_args(kind)])
    plain = {bool: st.booleans(), str: st.text(max_size=9), NoneType: st.none()}
    return plain[kind] if kind in plain else number(kind, bounds)


def number(kind: type, bounds: list[Any]) -> st.SearchStrategy[Any]:
    """Draw an int or a float within annotated bounds."""
    low, high, limits = None, None, {}
    for bound in bounds:
        match bound:
            case Ge(ge=low):
                pass
            case Gt(gt=low):
                limits["exclude_min"] = True
            case Le(le=high):
                pass
            case Lt(lt=high):
                limits["exclude_max"] = True
    if kind is int:
        return st.integers(low, high)
    return st.floats(low, high, allow_nan=False, allow_infinity=False, **limits)
