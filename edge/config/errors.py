"""What is wrong with a configuration: all of it at once, each problem with its place."""

from collections.abc import Sequence
from dataclasses import dataclass

from edge.errors import EdgeError


@dataclass(frozen=True, slots=True)
class Where:
    """Where something was written: a file, an environment variable or the command line.

    Attributes:
        source: the file's path, or "environment variable EDGE_…", or "command line".
        line: the line in the file from 1 on, None outside files.
        column: the column in the file from 1 on, None where it is not known.
    """

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to correct.

    Attributes:
        key: the setting as the operator writes it, for example "site[0].ttl.default"; "" for a whole file.
        sentence: what is wrong, without the key and without a full stop.
        where: where it was written, None for something that is missing everywhere.
        suggestion: what was probably meant, or "".
    """

    key: str
    sentence: str
    where: Where | None = None
    suggestion: str = ""

    def __str__(self) -> str:
        place = [str(self.where)] if self.where is not None else []
        text = ": ".join([*place, *([self.key] if self.key else []), self.sentence])
        return f"{text} (did you mean {self.suggestion}?)" if self.suggestion else text


class ConfigError(EdgeError):
    """The configuration cannot be used; `problems` says everything that is wrong with it."""

    detail = "config"

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)
