"""The curves show the course as it is, in few points, and write down all of it."""

from __future__ import annotations

import csv
import io
import math
from typing import TYPE_CHECKING

import imageio.v3 as iio
import numpy as np
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtGui import QColor, QPalette
from qtpy.QtSvg import QSvgRenderer
from qtpy.QtWidgets import QFileDialog
from skimage.color import rgb2lab

from napari_unet.config import InputError
from napari_unet.events import Stepped, Validated
from napari_unet.metrics.course import Course
from napari_unet.ui.curve_plot import DARK, LIGHT, Line, LogAxis
from napari_unet.ui.curves import MOST, SMOOTHING, Curves

if TYPE_CHECKING:
    from pathlib import Path

    from pytestqt.qtbot import QtBot

GROUNDS = {LIGHT: "#efebe9", DARK: "#262930"}  # of the themes of napari
# what is left of linear RGB without the long, and without the middle cones (Machado et al. 2009)
CONES = (
    np.eye(3),
    np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
)


def classes(dice: float) -> dict[str, dict[str, float]]:
    return {name: {"dice": dice, "jaccard": dice / 2} for name in ("background", "cell <b>")}


@pytest.fixture
def course() -> Course:
    """A course of 1000 steps and ten validations."""
    course = Course()
    rng = np.random.default_rng(0)
    for step in range(1, 1001):
        loss = 0.1 + math.exp(-step / 300) * rng.uniform(0.8, 1.2)
        course.take(Stepped(step, step // 100, loss, 1e-3 * step, step / 1000))
        if step % 100 == 0:
            dice = 1 - math.exp(-step / 400)
            scores = {"dice": dice, "jaccard": dice / 2}
            course.take(Validated(step, step // 100, 2 * loss, scores, classes(dice), True))
    return course


@pytest.fixture
def curves(qtbot: QtBot, course: Course) -> Curves:
    curves = Curves(course)
    qtbot.addWidget(curves)
    curves.resize(300, 320)
    curves.show()
    qtbot.waitExposed(curves)
    return curves


def names(lines: tuple[Line, ...]) -> list[str]:
    return [line.name for line in lines]


def choose(qtbot: QtBot, box, words: str) -> None:
    """Choose an entry with the keys, as a user does."""
    box.setFocus()
    key = Qt.Key.Key_Home
    while box.currentText() != words:
        qtbot.keyClick(box, key)
        key = Qt.Key.Key_Down
        assert box.currentIndex() < box.count()


def test_all_is_drawn_in_few_points(curves: Curves, course: Course) -> None:
    sheet = curves.picture.sheet
    assert names(sheet.left) == ["training loss", "validation loss"]
    assert names(sheet.right) == ["mean Dice"]
    assert len(sheet.left[0].steps) <= 2 * MOST + 2
    assert sheet.left[1].steps.tolist() == list(range(100, 1001, 100))
    assert [item.getData()[0].tolist() for item, _ in curves.picture._items] == [
        line.steps.tolist() for line in (*sheet.left, *sheet.right)
    ]
    assert curves.picture._right.viewRange()[1] == pytest.approx([-0.02, 1.02], abs=0.01)


def test_a_thousand_steps_are_drawn_at_once(qtbot: QtBot, curves: Curves) -> None:
    drawn: list[int] = []
    item, _ = curves.picture._items[0]
    item.sigPlotChanged.connect(lambda _item: drawn.append(1))
    for step in range(1001, 2001):
        curves.course.take(Stepped(step, 10, 0.1, 1e-3, 1.0))
        curves.refresh()
    qtbot.waitUntil(lambda: bool(drawn))
    assert len(drawn) <= 2  # data and symbols
    assert curves.picture.sheet.left[0].steps[-1] > 1900


def test_what_was_smoothed_can_be_seen_raw_again(qtbot: QtBot, curves: Curves) -> None:
    noise = []
    for words in [words for words, width in SMOOTHING.items() if width <= 100]:
        choose(qtbot, curves.smoothing, words)
        line = curves.picture.sheet.left[0]
        inner = (line.steps > 200) & (line.steps < 800)
        errors = line.values - 0.1 - np.exp(-line.steps / 300)
        noise.append(float(np.std(errors[inner])))
    assert noise == sorted(noise, reverse=True)
    before = curves.course.losses
    choose(qtbot, curves.smoothing, "every step")
    values = curves.picture.sheet.left[0].values
    assert (values.min(), values.max()) == (before[1].min(), before[1].max())


def test_what_the_right_axis_shows_is_chosen(qtbot: QtBot, curves: Curves) -> None:
    offered = [curves.view.itemText(k) for k in range(curves.view.count())]
    assert offered == ["mean Dice", "Dice by class", "IoU by class", "learning rate"]
    choose(qtbot, curves.view, "IoU by class")
    right = curves.picture.sheet.right
    assert names(right) == ["background", "cell <b>"]
    assert right[1].values.tolist() == curves.course.scores("jaccard", "cell <b>")[1].tolist()
    assert "cell&nbsp;&lt;b&gt;" in curves.picture.legend.text()  # a name is no markup
    choose(qtbot, curves.view, "learning rate")
    assert curves.picture.sheet.right[0].values[-1] == 1.0
    curves.course.take(Validated(1100, 11, 0.5, {"dice": 0.9}, {}, False))
    curves.redraw()
    assert curves.view.currentText() == "learning rate"  # the choice stays


def test_a_regression_has_errors_without_a_bound(qtbot: QtBot) -> None:
    course = Course()
    curves = Curves(course)
    qtbot.addWidget(curves)
    assert curves.view.currentText() == "learning rate"  # all there is before a validation
    for step, error in enumerate((900.0, 400.0, 120.0)):
        each = {name: {"mae": error, "rmse": error} for name in ("red", "green")}
        scores = {"mae": error, "rmse": 2 * error}
        course.take(Validated(step, step, 0.5, scores, each, False))
    curves.redraw()
    offered = [curves.view.itemText(k) for k in range(curves.view.count())]
    assert offered == [
        "mean absolute error", "root mean square", "error by channel", "learning rate",
    ]  # fmt: skip
    assert curves.view.currentText() == "mean absolute error"
    curves.show()
    qtbot.waitUntil(lambda: curves.picture._right.viewRange()[1][1] >= 900)


def test_what_is_no_number_is_left_out(qtbot: QtBot) -> None:
    course = Course()
    curves = Curves(course)
    qtbot.addWidget(curves)
    course.take(Validated(3, 0, 0.5, {"dice": math.nan}, {}, False))
    course.take(Validated(4, 1, math.inf, {"dice": 0.4}, {}, False))
    curves.redraw()
    assert curves.picture.sheet.left[1].values.tolist() == [0.5]
    assert curves.picture.sheet.right[0].values.tolist() == [0.4]
    curves.course.clear()
    curves.redraw()
    assert not any(len(line.steps) for line in curves.picture.sheet.left)


def test_the_mouse_reads_off_values(qtbot: QtBot, curves: Curves) -> None:
    canvas = curves.picture.plot
    box = canvas.getPlotItem().vb.sceneBoundingRect()
    qtbot.mouseMove(canvas.viewport(), QPoint(0, 0))
    qtbot.mouseMove(canvas.viewport(), box.center().toPoint())
    qtbot.waitUntil(lambda: curves.picture.step is not None)
    step = curves.picture.step
    assert 300 < step < 700
    text = curves.picture.legend.text()
    for line in (*curves.picture.sheet.left, *curves.picture.sheet.right):
        assert f"<b>{line.near(step):.4g}</b>" in text
        assert abs(line.near(step) - np.interp(step, line.steps, line.values)) < 0.2
    assert curves.picture._cursor.isVisible()
    qtbot.mouseMove(canvas.viewport(), QPoint(1, 1))  # outside the axes
    qtbot.waitUntil(lambda: curves.picture.step is None)
    assert not curves.picture._cursor.isVisible()


def test_a_logarithmic_axis_holds_the_losses_alone(qtbot: QtBot, curves: Curves) -> None:
    before = [item.getData()[1].copy() for item, _ in curves.picture._items]
    qtbot.mouseClick(curves.logarithmic, Qt.MouseButton.LeftButton, pos=QPoint(8, 8))
    after = [item.getData()[1] for item, _ in curves.picture._items]
    np.testing.assert_allclose(after[0], np.log10(before[0]))
    np.testing.assert_allclose(after[1], np.log10(before[1]))
    np.testing.assert_array_equal(after[2], before[2])
    assert curves.picture.plot.getPlotItem().getAxis("left").logMode
    assert not curves.picture.plot.getPlotItem().getAxis("right").logMode
    choose(qtbot, curves.smoothing, "every step")
    curves.course.take(Stepped(1001, 10, 0.0, 1e-3, 1.0))  # has no logarithm
    curves.redraw()
    low, high = curves.picture.plot.getPlotItem().viewRange()[1]
    assert -2 < low < high < 2


@pytest.mark.parametrize(("low", "high"), [(1.4, 2.4), (0.11, 0.13), (0.02, 3), (1e-6, 1e3)])
def test_a_logarithmic_axis_names_numbers_at_any_range(low: float, high: float) -> None:
    axis = LogAxis("left")
    axis.setLogMode(x=False, y=True)
    ((_, values),) = axis.tickValues(math.log10(low), math.log10(high), 200)
    names = axis.tickStrings(values, 1, 1)
    assert 2 <= len(names) <= 14
    assert len(set(names)) == len(names)
    assert all(low <= float(name) <= high for name in names)


def test_marks_are_drawn_where_they_belong(curves: Curves) -> None:
    curves.course.mark("resumed")
    curves.redraw()
    curves.redraw()
    (line,) = curves.picture._marks
    assert line.value() == 1000
    assert line.label.textItem.toPlainText() == "resumed"
    curves.course.mark("corrected")
    curves.redraw()
    (line,) = curves.picture._marks  # two words upon one another could not be read
    assert line.label.textItem.toPlainText() == "resumed, corrected"
    curves.course.clear()
    curves.redraw()
    assert not curves.picture._marks


@pytest.mark.parametrize("suffix", [".csv", ".png", ".svg"])
def test_an_export_holds_all(
    qtbot: QtBot, curves: Curves, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "mine"), ""))
    actions = curves.export_button.menu().actions()
    (action,) = [a for a in actions if a.data() == suffix]
    action.trigger()
    path = tmp_path / f"mine{suffix}"
    if suffix == ".csv":
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8"))))
        losses = [float(row["training loss"]) for row in rows if row["training loss"]]
        assert losses == curves.course.losses[1].tolist()
        assert rows[-1]["dice of cell <b>"] == str(curves.course.scores("dice")[1][-1])
    elif suffix == ".png":
        picture = iio.imread(path)[..., :3].astype(int)
        assert picture.shape == (1000, 1800, 3)
        assert (picture[0, 0] == 255).all()  # whatever the theme
        for colour in LIGHT[:3]:
            near = np.abs(picture - np.array(QColor(colour).getRgb()[:3])).max(axis=-1) < 40
            assert near[200:].sum() > 200
    else:
        assert QSvgRenderer(str(path)).isValid()
        text = path.read_text("utf-8")
        assert "training" in text
        assert LIGHT[0] in text


def test_what_cannot_be_written_is_told(
    qtbot: QtBot, curves: Curves, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    gone = tmp_path / "file" / "x"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(gone), ""))
    with qtbot.waitSignal(curves.refused) as said:
        curves.export_button.menu().actions()[0].trigger()
    assert said.args[0].code == "U130"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: ("", ""))
    curves.export_button.menu().actions()[0].trigger()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    with pytest.raises(InputError, match="names no format"):
        curves.save(tmp_path / "x.gif")


def test_a_narrow_dock_is_wide_enough(curves: Curves) -> None:
    assert curves.minimumSizeHint().width() <= 300
    assert curves.width() == 300


@pytest.mark.parametrize(("ground", "palette"), [("white", LIGHT), ("black", DARK)])
def test_colours_follow_the_theme(curves: Curves, ground: str, palette: tuple[str, ...]) -> None:
    text = QColor("black" if ground == "white" else "white")
    colours = curves.palette()
    colours.setColor(QPalette.ColorRole.WindowText, text)
    curves.setPalette(colours)
    axis = curves.picture.plot.getPlotItem().getAxis("left")
    assert axis.textPen().color().name() == text.name()
    used = [item.opts["pen"].color().name() for item, _ in curves.picture._items]
    assert used == list(palette[:3])


def luminance(colour: str) -> float:
    red, green, blue = linear(colour)
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def linear(colour: str) -> np.ndarray:
    part = np.array(QColor(colour).getRgbF()[:3])
    return np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)


@pytest.mark.parametrize("palette", [LIGHT, DARK])
def test_lines_stand_out_from_the_ground(palette: tuple[str, ...]) -> None:
    ground = luminance(GROUNDS[palette])
    for colour in palette:
        low, high = sorted((luminance(colour), ground))
        assert (high + 0.05) / (low + 0.05) >= 3, colour  # WCAG 2.1, 1.4.11


@pytest.mark.parametrize("palette", [LIGHT, DARK])
@pytest.mark.parametrize("cones", CONES)
def test_all_eyes_tell_the_lines_apart(palette: tuple[str, ...], cones: np.ndarray) -> None:
    seen = np.clip([cones @ linear(colour) for colour in palette], 0, 1)
    encoded = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = rgb2lab(encoded[None])[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=-1)[np.triu_indices(len(palette), 1)]
    assert apart.min() > 10  # some four times what can just be seen
