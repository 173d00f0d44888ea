"""Every setting, its range and its help text. Never imports torch."""

from napari_unet.config.errors import InputError, ModelFileError, StorageError, explain
from napari_unet.config.evaluation import EvaluateConfig
from napari_unet.config.home import home
from napari_unet.config.model import ModelConfig
from napari_unet.config.prediction import InstanceConfig, PredictConfig
from napari_unet.config.schema import Config
from napari_unet.config.tables import (
    ARCHITECTURES,
    FORMULAS,
    LOSSES,
    OPTIONS,
    RECIPES,
    REGRESSION,
    Architecture,
    resolve_name,
)
from napari_unet.config.training import (
    AugmentConfig,
    ClassEntry,
    LabelConfig,
    LossConfig,
    OptimiserConfig,
    TrainConfig,
    WeightConfig,
    overlay,
)

__all__ = [
    "ARCHITECTURES",
    "FORMULAS",
    "LOSSES",
    "OPTIONS",
    "RECIPES",
    "REGRESSION",
    "Architecture",
    "AugmentConfig",
    "ClassEntry",
    "Config",
    "EvaluateConfig",
    "InputError",
    "InstanceConfig",
    "LabelConfig",
    "LossConfig",
    "ModelConfig",
    "ModelFileError",
    "OptimiserConfig",
    "PredictConfig",
    "StorageError",
    "TrainConfig",
    "WeightConfig",
    "explain",
    "home",
    "overlay",
    "resolve_name",
]
