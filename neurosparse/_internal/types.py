"""Names of types that many rooms share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from numpy.typing import NDArray

Array: TypeAlias = "NDArray[Any]"
"""An array whose values may be of any type."""

Fields: TypeAlias = dict[str, Any]
"""Values by name, as JSON and TOML have them: each of a type that only its reader knows."""

FieldsView: TypeAlias = Mapping[str, Any]
"""Fields that are read only."""

Foreign: TypeAlias = Any
"""An object of a package without types, or of one that is imported only when met."""
