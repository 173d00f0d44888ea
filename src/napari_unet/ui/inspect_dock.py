"""The dock in which one looks inside: attention gates, weight maps, tiles, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, FloatSlider, SpinBox
from napari.layers import Labels
from qtpy.QtWidgets import QCheckBox, QPushButton

from napari_unet.config import LabelConfig, PredictConfig, WeightConfig
from napari_unet.events import Started
from napari_unet.ui.choice import LayerBox
from napari_unet.ui.form import Form
from napari_unet.ui.layers import find_layer
from napari_unet.ui.panel import allow
from napari_unet.ui.plan_shapes import plan_layer
from napari_unet.ui.predicting import PredictingDock
from napari_unet.ui.rows import Fold, stack, title
from napari_unet.ui.showing import lay_side_by_side, show_anew
from napari_unet.ui.weighing import Weighing, Wish

if TYPE_CHECKING:
    import napari.viewer

    from napari_unet.events import Event

COLORMAPS = ("viridis", "magma", "inferno", "cividis", "gray", "turbo")


class InspectDock(PredictingDock):
    """See what a network attends to, what a pixel weighs, and how tiles are cut."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer)
        self.weighing = Weighing(viewer, self, shown="border term")
        self._make_parts()
        self._compose()
        self._connect()
        self.subject.model.fill(self.root)
        self.fill()

    def fill(self) -> None:
        """Offer the layers of the viewer."""
        super().fill()
        self.labels.fill(self.layers)

    def handle(self, event: Event) -> None:
        """Follow the prediction of the gates; draw them as chosen."""
        super().handle(event)
        if isinstance(event, Started):
            self._on_look()

    def shut_down(self) -> None:
        """End what runs for this dock."""
        self.weighing.stop()
        super().shut_down()

    def check(self) -> None:
        """Allow the buttons that can be pressed."""
        why_not, gated = self.subject.why_not, self.subject.gated
        without = "" if gated else "this model has no attention gates; train one that has"
        busy = "a prediction is running" if self.job else ""
        allow(self.gates_button, why_not or without or busy, "Show where each gate looks.")
        allow(self.plan_button, why_not, "Draw what each tile reads and writes.")

    def _make_parts(self) -> None:
        self.gates_button = QPushButton("Show attention gates")
        self.colormap = ComboBox(choices=COLORMAPS, value="viridis")
        self.colormap.native.setToolTip("Colours of all gates: low where little passes.")
        self.opacity = FloatSlider(value=0.6, min=0, max=1)
        self.opacity.native.setToolTip("Opacity of all gates above the image.")
        self.tile = SpinBox(value=256, min=1, max=2**20)
        self.tile.native.setToolTip("Edge of the tiles in pixels.")
        self.plan_button = QPushButton("Show tile plan")
        self.labels = LayerBox(Labels, "The labels whose weights to show.")
        self.kind = Form(LabelConfig(kind="instances"), only=("kind", "zero"))
        self.kind.field("kind").offer(("instances", "classes"))  # all values weigh the same
        self.dimensions = ComboBox(choices=[("2-D", 2), ("3-D", 3), ("1-D", 1)], value=2)
        self.dimensions.native.setToolTip("What one picture is; further axes are looped over.")
        self.w0 = FloatSlider(value=10, min=0, max=50)
        self.sigma = FloatSlider(value=5, min=0.5, max=30)
        fields = WeightConfig.model_fields
        self.w0.native.setToolTip(str(fields["w0"].description))
        self.sigma.native.setToolTip(str(fields["sigma"].description))
        self.live = QCheckBox("Show weight maps, live")
        self.live.setToolTip("Show the maps and follow the sliders and what is drawn.")
        self.grid = QCheckBox("Layers side by side")
        self.grid.setToolTip("The grid mode of the viewer: every layer in a cell of its own.")

    def _compose(self) -> None:
        self.settings.addWidget(title("Model and image"))
        self.settings.addWidget(self.subject)
        gates = stack(
            ("", self.gates_button),
            ("colormap", self.colormap.native),
            ("opacity", self.opacity.native),
        )
        plan = stack(("tile", self.tile.native), ("", self.plan_button))
        weights = stack(
            ("labels", self.labels),
            ("", self.kind),
            ("space", self.dimensions.native),
            ("height w0", self.w0.native),
            ("reach sigma", self.sigma.native),
            ("", self.live),
        )
        parts = (("Attention gates", gates), ("Tile plan", plan), ("Weight maps", weights))
        for words, part in parts:
            self.settings.addWidget(Fold(words, part, folded=False))
        self.settings.addWidget(self.grid)

    def _connect(self) -> None:
        self.gates_button.clicked.connect(self._on_gates)
        self.plan_button.clicked.connect(self._on_plan)
        self.grid.toggled.connect(self._on_grid)
        for look in (self.colormap, self.opacity):
            look.changed.connect(self._on_look)
        for setting in (self.w0, self.sigma, self.dimensions):
            setting.changed.connect(self._on_setting)
        self.kind.changed.connect(self._on_setting)
        self.labels.chosen.connect(self._on_setting)
        self.live.toggled.connect(self._on_setting)
        self.weighing.weighed.connect(self._on_weighed)
        self.weighing.failed.connect(self.message.mark)
        self.weighing.ended.connect(self._on_ended)

    def _on_gates(self) -> None:
        self.begin(self.request(PredictConfig(outputs=("attention",))))

    def _on_look(self, _value: object = None) -> None:
        """Draw all gates in the chosen colours."""
        for key in self.prediction.keys.values():
            layer = find_layer(self.viewer.layers, key)
            if layer is not None:
                layer.colormap, layer.opacity = self.colormap.value, self.opacity.value

    def _on_plan(self) -> None:
        layer, card = self.subject.layer, self.subject.card
        if layer is not None and card is not None:
            axes, tile = self.subject.axes.axes, int(self.tile.value)
            self.message.news(
                f"blue: what each tile writes; orange: what one of them reads. "
                f"{self.subject.cost(tile)}"
            )
            show_anew(self.viewer, plan_layer(layer, axes, tile, card, self.viewer.dims.point))

    def _on_setting(self, _value: object = None) -> None:
        """Show the weights of the chosen labels, or follow them no more."""
        if not self.live.isChecked():
            self.weighing.stop()
            return
        self.weighing.want(self._to_weigh())
        if not self.weighing.live:
            self.weighing.show()

    def _to_weigh(self) -> Wish | None:
        layer, ndim = self.find(self.labels.key), int(self.dimensions.value)
        if layer is None:
            self.message.warn("choose labels to weigh")
            return None
        kind: Any = self.kind.value
        weights = WeightConfig(w0=self.w0.value, sigma=self.sigma.value)
        return Wish((layer.unique_id,), "PTZYX"[-layer.ndim :], ndim, kind, weights)

    def _on_weighed(self, notes: tuple[str, ...]) -> None:
        self.message.news("; ".join(notes))

    def _on_ended(self) -> None:
        self.live.setChecked(False)

    def _on_grid(self, checked: bool) -> None:
        lay_side_by_side(self.viewer, enabled=checked)
