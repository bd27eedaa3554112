"""What models that were trained on pictures have in common on storage: their settings and their skeleton."""

from __future__ import annotations

from dataclasses import asdict
from typing import TypeVar

from flexpose_ray.errors import ConfigError, WeightsError
from flexpose_ray.models.weights import Model, read_model
from flexpose_ray.pose.alpha import Alpha

Settings = TypeVar("Settings")


def config_of(settings: object, alpha: Alpha) -> dict:
    """What such a model's config holds."""
    return {"settings": asdict(settings), "skeleton": alpha.skeleton_name}


def read_picture_model(
    uri: str, kind: str, settings: type[Settings], patience_s: float
) -> tuple[Model, Settings, Alpha]:
    """Read a model whose config is of :func:`config_of`.

    Args:
        uri: its folder.
        kind: of the model.
        settings: their class; gives the alpha of a skeleton.
        patience_s: how long to retry while a storage server is unreachable.

    Raises:
        WeightsError: missing, damaged, another kind of model, or of another version.
    """
    model = read_model(uri, kind, patience_s)
    try:
        found = settings(**model.config["settings"])
        return model, found, found.alpha(model.config["skeleton"])
    except (KeyError, TypeError, ConfigError) as error:
        raise WeightsError(uri, f"its config is not one of this version: {error}", "upgrade flexpose-ray") from error
