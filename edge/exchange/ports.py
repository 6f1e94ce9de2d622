"""Moved to edge.ports."""

from edge.ports import *  # noqa: F403
