"""Reading the configuration file and its `conf.d`, with the place of everything in them."""

import re
import stat
import tomllib
from dataclasses import dataclass
from pathlib import Path

from edge.config import lines
from edge.config.errors import Problem, Where

#: A file of this size holds some hundred thousand settings; more is a mistake.
MAX_FILE = 16 * 2**20
_syntax = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)").fullmatch


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed file and the lines its keys stand on."""

    source: str
    tree: dict[str, object]
    located: dict[lines.Keys, int]

    def where(self, path: lines.Keys) -> Where:
        """Return the place of `path`, or of the nearest table around it."""
        while path and path not in self.located:
            path = path[:-1]
        return Where(self.source, self.located.get(path))


def read_all(path: Path, problems: list[Problem]) -> list[Document]:
    """Return the documents of `path` and of `conf.d/*.toml` beside it by name, noting what cannot be read."""
    folder = path.parent / "conf.d"
    documents = [_read(path, path.parent, problems)]
    documents += [_read(part, folder, problems) for part in sorted(folder.glob("*.toml"))]
    return [document for document in documents if document is not None]


def _read(path: Path, folder: Path, problems: list[Problem]) -> Document | None:
    try:
        refused = _refused(path, folder)
        if refused:
            problems.append(Problem("", refused, Where(str(path))))
            return None
        text = path.read_bytes().decode("utf-8-sig")
        return Document(str(path), tomllib.loads(text), lines.locate(text))
    except OSError as error:
        problems.append(Problem("", f"cannot be read: {error.strerror or 'unknown error'}", Where(str(path))))
    except UnicodeDecodeError as error:
        problems.append(Problem("", f"is not UTF-8 at octet {error.start}", Where(str(path))))
    except tomllib.TOMLDecodeError as error:
        problems.append(_syntax_problem(str(path), str(error)))
    except RecursionError:
        problems.append(Problem("", "is nested too deeply", Where(str(path))))
    return None


def _refused(path: Path, folder: Path) -> str:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_mode & stat.S_IWOTH:
        return "can be written by every user of this machine; run chmod o-w on it"
    if status.st_size > MAX_FILE:
        return f"is larger than {MAX_FILE >> 20}MiB"
    if folder.name == "conf.d" and not path.resolve().is_relative_to(folder.resolve()):
        return "is a link that leads out of conf.d"
    return ""


def _syntax_problem(source: str, message: str) -> Problem:
    if (match := _syntax(message)) is None:
        return Problem("", message, Where(source))
    place = Where(source, int(match[2]), int(match[3])) if match[2] else Where(source)
    sentence = match[1][:1].lower() + match[1][1:]
    return Problem("", sentence if match[2] else f"{sentence} at the end of the file", place)
