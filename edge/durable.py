"""What the control plane remembers across restarts, as JSON in diskcache: no pickle is written, and none is read."""

import json
from pathlib import Path
from sqlite3 import Error as DatabaseError
from typing import Any

import diskcache

from edge.errors import StoreDamaged, StoreError


class JsonDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Keys that are strings, values that are JSON."""

    def put(self, key: object) -> tuple[object, bool]:
        """Return a key as the database has it."""
        if not isinstance(key, str):
            raise TypeError("a key is a string")
        return key, True

    def get(self, key: object, raw: bool) -> object:  # noqa: FBT001 - the interface of diskcache
        """Return a key of the database."""
        if not raw or not isinstance(key, str):
            raise StoreDamaged("a key that was not put here")
        return key

    def store(self, value: object, read: bool, key: object = None) -> Any:  # noqa: ANN401, FBT001 - the same
        """Return how a value is kept."""
        return super().store(json.dumps(value), False, key)  # noqa: FBT003 - the same

    def fetch(self, mode: int, filename: str | None, value: object, read: bool) -> object:  # noqa: FBT001 - the same
        """Return a value; StoreDamaged if it was not stored here."""
        if mode == diskcache.core.MODE_PICKLE:
            raise StoreDamaged("a pickle is not loaded")
        text = super().fetch(mode, filename, value, False)  # noqa: FBT003 - the same
        if not isinstance(text, str):
            raise StoreDamaged("a value that was not put here")
        try:
            return json.loads(text)
        except ValueError as error:
            raise StoreDamaged("a value that is not JSON") from error


def open_durable(directory: Path) -> Any:  # noqa: ANN401 - diskcache has no types
    """Return the `diskcache.Cache` in `directory`, which only its owner can read; StoreError if it cannot be used."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        return diskcache.Cache(str(directory), disk=JsonDisk, timeout=5)
    except (OSError, DatabaseError, diskcache.Timeout) as error:
        raise StoreError(f"{directory} cannot be used: {error}") from error
