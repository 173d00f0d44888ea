"""What every setting has in common: frozen, bounded, and explained in its own words."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Config(BaseModel):
    """Settings that cannot change after they were made and refuse names they do not know.

    The form in the window, the `--set` flag, the JSON on disk and the reference page are
    all made from the fields: their types, ranges (`ge`, `le`) and descriptions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
