"""Names become networks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from torch import nn

import napari_unet
from napari_unet.config import ARCHITECTURES, ModelConfig, resolve_name
from napari_unet.models.registry import build


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_name_builds_its_class(architecture: str) -> None:
    network = build(ModelConfig(architecture=architecture, base=1, depth=1))
    assert isinstance(network, nn.Module)
    assert type(network) is resolve_name(ARCHITECTURES[architecture].target)


def test_the_public_name_is_this_function() -> None:
    assert napari_unet.build is build


def test_the_table_needs_no_torch() -> None:
    code = "import napari_unet.models, napari_unet.config, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
