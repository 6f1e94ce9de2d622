"""Values that are made for every message: immutable to the type checker, and cheap to make.

A frozen dataclass sets each field through `object.__setattr__`, so that making one takes several times as long as making
one that is not frozen.  Nothing assigns to the fields of such a value, because the type checker says so where it is tried.
"""

from typing import TYPE_CHECKING

__all__ = ["immutable"]

if TYPE_CHECKING:
    from dataclasses import dataclass as immutable
else:
    from dataclasses import dataclass

    def immutable(*, frozen: bool, slots: bool):  # noqa: ANN201 - the type checker sees the line above
        """Return the decorator for a class of values, which are compared and hashed by their fields."""
        return dataclass(unsafe_hash=frozen, slots=slots)
