"""From flags, environment, files and defaults, in this order of precedence, to one configuration."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.config import files
from edge.config.checks import contradictions
from edge.config.errors import ConfigError, Problem, Where
from edge.config.given import Given, Givens
from edge.config.kinds import Unlike, Value
from edge.config.lines import Keys
from edge.config.model import Config, build
from edge.config.schema import BY_PATH, REQUIRED, SETTINGS, UNSET, Setting, pattern, read, written

#: Where a node without a file listens: the one address that needs no rights and shows itself to nobody.
DEFAULT_LISTENER = "127.0.0.1:8080"
_variable = re.compile(r"\$\$(?=\{)|\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}|\$\{")


def load(path: Path | None, flags: Mapping[str, object], environ: Mapping[str, str]) -> Config:
    """Return the configuration; opens no socket and touches no cache.

    Args:
        path: the file, with `conf.d/*.toml` beside it; None to do without.
        flags: dotted settings, and the short forms `listen` (addresses), `listen_tls` (addresses, with `tls` as in the
            file), `origins` (URLs of the origin `default`) and `profile`; None and empty lists are as good as not given.
        environ: where `EDGE_SECTION__KEY` and `${NAME}` are looked up.

    Raises:
        ConfigError: with every problem there is.
    """
    givens = Givens()
    if path is not None:
        documents = files.read_all(path, givens.problems)
        if givens.problems:
            raise ConfigError(givens.problems)
        for document in documents:
            givens.add_document(document)
    givens.add_environment(environ)
    givens.add_flags(_with_defaults_of_no_file(flags, givens, environ) if path is None else flags)
    values = _typed(givens, environ)
    problems = [*givens.problems, *contradictions(values, givens)]
    if problems:
        raise ConfigError(sorted(problems, key=_place))
    return build(values, {written(keys): str(given.where) for keys, given in givens.values.items()})


def _with_defaults_of_no_file(
    flags: Mapping[str, object], givens: Givens, environ: Mapping[str, str]
) -> dict[str, object]:
    """Return `flags` with what a newcomer without a file and without rights needs."""
    filled = dict(flags)
    if not (givens.members("listen") or filled.get("listen") or filled.get("listen_tls")):
        filled["listen"] = [DEFAULT_LISTENER]
    home = environ.get("XDG_CACHE_HOME") or (f"{environ['HOME']}/.cache" if environ.get("HOME") else "")
    if home and ("cache", "path") not in givens.values and filled.get("cache.path") is None:
        filled["cache.path"] = f"{home}/foreland"
    return filled


def _typed(givens: Givens, environ: Mapping[str, str]) -> dict[Keys, Value]:
    """Return the value of every setting of every table that has a good one, and note the problems of the others."""
    values: dict[Keys, Value] = {}
    for setting in SETTINGS:
        for keys in _instances(setting, givens):
            given = givens.values.get(keys)
            if given is not None:
                _add(values, keys, given, givens, environ)
            elif setting.default is REQUIRED:
                givens.problems.append(Problem(written(keys), "is missing", givens.where(keys)))
            else:
                values[keys] = None if setting.default is UNSET else read(setting, setting.default, text=False)
    return values


def _instances(setting: Setting, givens: Givens) -> Iterator[Keys]:
    """Yield the keys of `setting` in each table that there is of its kind."""
    first, *rest = setting.path.split(".")
    if first.endswith("[]"):
        yield from ((*table, *rest) for table in givens.members(first.removesuffix("[]")))
    elif first == "origins":
        yield from ((*table, *rest[1:]) for table in givens.members("origins"))
    else:
        yield (first, *rest)


def _add(values: dict[Keys, Value], keys: Keys, given: Given, givens: Givens, environ: Mapping[str, str]) -> None:
    try:
        raw = given.raw if given.is_text else _substituted(given.raw, environ)
        values[keys] = read(BY_PATH[pattern(keys)], raw, text=given.is_text)
    except ValueError as error:
        suggestion = error.suggestion if isinstance(error, Unlike) else ""
        sentence = f"{_shown(given.raw)} {error}"
        givens.problems.append(Problem(written(keys), sentence, given.where, suggestion))


def _substituted(raw: object, environ: Mapping[str, str]) -> object:
    """Return `raw` with `${NAME}` and `${NAME:-default}` replaced in its strings; `$${` stands for `${`."""
    if isinstance(raw, list):
        return [_substituted(item, environ) for item in raw]
    if isinstance(raw, dict):
        return {name: _substituted(item, environ) for name, item in raw.items()}
    return _variable.sub(lambda match: _looked_up(match, environ), raw) if isinstance(raw, str) else raw


def _looked_up(match: re.Match[str], environ: Mapping[str, str]) -> str:
    if match[0] == "$$":
        return "$"
    if match[1] is None:
        raise ValueError("holds a ${ that is not ${NAME} or ${NAME:-default}; write $${ for the characters")
    value = environ.get(match[1]) or match[2]
    if value is None:
        raise ValueError(f"needs the environment variable {match[1]}, which is not set")
    return value


def _shown(raw: object) -> str:
    """Return `raw` as it was written, so that what a variable held is not told, and without user information."""
    text = json.dumps(raw, ensure_ascii=False, default=str)
    text = re.sub(r"//[^/@\s\"]*@", "//***@", text)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _place(problem: Problem) -> tuple[str, int]:
    where = problem.where or Where("")
    return where.source, where.line or 0
