"""Targets say what the labels mean, and the map shown is the array in the loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from napari_unet.config import InputError, LabelConfig, WeightConfig
from napari_unet.targets.balance import balance
from napari_unet.targets.border import border_term
from napari_unet.targets.grammar import Grammar, recognise
from napari_unet.targets.ridge import carve_ridge
from napari_unet.targets.targets import Reading, Targets, make_targets, read_labels
from tests.targets.label_strategies import disks, labels_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONFIGS = st.builds(
    LabelConfig,
    kind=st.sampled_from(["instances", "classes"]),
    zero=st.sampled_from(["background", "unlabelled"]),
    ignore=st.sampled_from([None, 4]),
    ridge=st.booleans(),
)


def targets_of(
    labels: NDArray[Any], config: LabelConfig, weights: WeightConfig | None = None
) -> Targets:
    """Make the targets of a training set of one image."""
    weights = weights or WeightConfig()
    reading = read(labels, recognise([labels], config), config, weights)
    return make_targets(reading, weights, balance(reading.counts))


def read(
    labels: NDArray[Any],
    grammar: Grammar,
    config: LabelConfig,
    weights: WeightConfig = WeightConfig(),  # noqa: B008 - it is frozen
) -> Reading:
    return read_labels(labels, grammar, config, weights)


@settings(deadline=None)
@given(labels_of([0, 1, 2, 3, 4]), CONFIGS)
def test_laws_of_targets(labels: NDArray[Any], config: LabelConfig) -> None:
    try:
        targets = targets_of(labels, config)
    except InputError as error:
        assume(error.code not in {"U105", "U106"})
        raise
    unlabelled = labels == config.ignore if config.ignore is not None else labels < 0
    if config.zero == "unlabelled":
        unlabelled = unlabelled | (labels == 0)
    np.testing.assert_array_equal(targets.labelled, ~unlabelled)
    assert targets.classes.dtype == np.uint16
    assert targets.weights.dtype == np.float32
    assert targets.weights is targets.map.total
    assert not targets.weights[unlabelled].any()
    np.testing.assert_allclose(targets.map.classes[targets.labelled].mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(targets.weights, targets.map.classes + targets.map.border)


def test_objects_are_parted_before_they_are_weighed() -> None:
    labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2]])
    targets = targets_of(labels, LabelConfig())
    np.testing.assert_array_equal(targets.classes, [[1, 1, 0, 1], [1, 1, 0, 1]])
    np.testing.assert_allclose(targets.map.border[0, 2], 10 * np.exp(-4 / 50), rtol=1e-5)
    whole = targets_of(np.pad(labels, 1), LabelConfig(ridge=False))
    np.testing.assert_array_equal(whole.classes, np.pad(labels, 1) > 0)


def test_the_border_runs_between_instances() -> None:
    labels = disks((70, 70), 30, 6, 0)
    expected = border_term(carve_ridge(labels), 10, 5, "background")
    np.testing.assert_array_equal(targets_of(labels, LabelConfig()).map.border, expected)


@pytest.mark.parametrize("kind", ["instances", "classes"])
def test_the_border_runs_between_connected_regions(kind: Any) -> None:
    labels = 255 * (disks((70, 70), 12, 6, 1) > 0)
    regions, _ = label(labels, np.ones((3, 3)))
    expected = border_term(regions, 10, 5, "background")
    found = targets_of(labels, LabelConfig(kind=kind))
    np.testing.assert_array_equal(found.map.border, expected)
    np.testing.assert_array_equal(found.classes, labels == 255)


def test_regions_of_different_classes_are_different_objects() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 0, 0])
    assert targets_of(labels, LabelConfig(kind="classes")).map.border.any()


def test_sparse_instances_start_at_2() -> None:
    labels = np.array([0, 1, 1, 2, 2, 0, 3])
    targets = targets_of(labels, LabelConfig(kind="instances", zero="unlabelled"))
    assert targets.classes.tolist() == [0, 0, 0, 1, 1, 0, 1]
    assert targets.labelled.tolist() == [False, True, True, True, True, False, True]


def test_weights_need_not_balance() -> None:
    labels = disks((40, 40), 3, 6, 0)
    weights = WeightConfig(balance_classes=False, w0=0)
    assert (targets_of(labels, LabelConfig(), weights).weights == 1).all()


@given(labels_of([0, 1, 2]))
def test_counts_of_a_set_add_up(labels: NDArray[Any]) -> None:
    grammar, config = Grammar((0, 1, 2), ("a", "b", "c")), LabelConfig(kind="classes")
    parts = np.array_split(labels, len(labels))
    counts = sum(read(part, grammar, config).counts for part in parts)
    np.testing.assert_array_equal(counts, read(labels, grammar, config).counts)
    assert np.sum(counts) == labels.size


def test_an_unknown_class_is_refused() -> None:
    grammar, config = Grammar((0, 255), ("a", "b")), LabelConfig(kind="classes")
    with pytest.raises(InputError, match="U108: 2 pixels have values such as 7"):
        read(np.array([0, 7, 7, 255]), grammar, config)


def test_the_counts_know_the_ridge() -> None:
    labels = np.array([0, 1, 1, 2, 2, 0])
    grammar = recognise([labels], LabelConfig())
    assert read(labels, grammar, LabelConfig()).counts.tolist() == [3, 3]
    assert read(labels, grammar, LabelConfig(ridge=False)).counts.tolist() == [2, 4]
