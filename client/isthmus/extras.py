"""Optional packages, imported when they are asked for, and what to install when they are not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from isthmus.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType


def numpy() -> ModuleType:
    """The module numpy. Raises MissingExtra."""
    try:
        import numpy as np
    except ImportError as error:
        raise MissingExtra("arrays need numpy: pip install 'isthmus[data]'") from error
    return np


def pandas() -> Any:
    """The module pandas. Raises MissingExtra."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtra("data frames need pandas: pip install 'isthmus[data]'") from error
    return pd
