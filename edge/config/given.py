"""What the operator wrote, key by key, from files, environment and command line, each with its place."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from edge.config.errors import Problem, Where
from edge.config.files import Document
from edge.config.lines import Keys
from edge.config.schema import BY_PATH, TABLES, pattern, written

PREFIX = "EDGE_"
COMMAND_LINE = Where("command line")
LISTS = ("listen", "site")
_LISTENS = ("listen", "listen_tls")
_is_name = re.compile(r"[A-Za-z0-9_-]{1,64}").fullmatch


@dataclass(frozen=True, slots=True)
class Given:
    """A value as it was written; `is_text` when it comes from where everything is text."""

    raw: object
    where: Where
    is_text: bool = False


@dataclass(slots=True)
class Givens:
    """All values written anywhere; a later source wins over an earlier one, a file never over another file.

    Attributes:
        values: the last value written under each key.
        tables: the first place of each table of a list and of each origin.
        problems: what could not be understood.
    """

    values: dict[Keys, Given] = field(default_factory=dict)
    tables: dict[Keys, Where] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def members(self, table: str) -> list[Keys]:
        """Return the keys of the tables in the list or group `table`, in order."""
        return [keys for keys in self.tables if keys[0] == table]

    def where(self, keys: Keys) -> Where | None:
        """Return where `keys`, or the nearest table around them, was written."""
        while keys:
            if keys in self.values:
                return self.values[keys].where
            if keys in self.tables:
                return self.tables[keys]
            keys = keys[:-1]
        return None

    def add_document(self, document: Document) -> None:
        """Add a file; lists of tables grow, and a key that another file has is a problem."""
        first = {name: len(self.members(name)) for name in LISTS}
        self._add_table(document, document.tree, (), (), first)

    def add_environment(self, environ: Mapping[str, str]) -> None:
        """Add every `EDGE_SECTION__KEY`; a name without "__" that is no setting belongs to somebody else."""
        for name in sorted(environ):
            if not name.startswith(PREFIX):
                continue
            keys = self._from_variable(name.removeprefix(PREFIX))
            where = Where(f"environment variable {name}")
            if pattern(keys) in BY_PATH:
                self._override(keys, environ[name], where)
            elif len(keys) > 1:
                self.problems.append(Problem(written(keys), "is not a setting", where, _suggestion(keys)))

    def add_flags(self, flags: Mapping[str, object]) -> None:
        """Add the command line: dotted keys, and the short forms `listen`, `origins` and `profile`."""
        for name, value in flags.items():
            if value is None or (isinstance(value, Sequence) and not value):
                continue
            match name:
                case "listen" | "listen_tls" if isinstance(value, Sequence):
                    # One of the two replaces the listeners for both.
                    if name == "listen" or not flags.get("listen"):
                        self._replace_listeners(flags)
                case "tls":
                    pass
                case "origins" if isinstance(value, Sequence):
                    self._set_default_origin(value)
                case "profile":
                    for site in self.members("site"):
                        self._override((*site, "profile"), value, COMMAND_LINE)
                case _ if name in BY_PATH:
                    self._override(tuple(name.split(".")), value, COMMAND_LINE)
                case _:
                    self.problems.append(Problem(name, "is not a setting", COMMAND_LINE))

    def _add_table(
        self, document: Document, tree: Mapping[str, object], local: Keys, keys: Keys, first: Mapping[str, int]
    ) -> None:
        for name, value in tree.items():
            here, there = (*local, name), (*keys, name)
            kind = pattern(there)
            if kind in BY_PATH:
                self._add_value(there, value, document.where(here))
            elif not keys and name in LISTS:
                self._add_list(document, name, value, first)
            elif kind == "origins.NAME" and _is_name(name) is None:
                self._refuse(there, "is not a name of letters, digits, - and _, at most 64", document.where(here))
            elif kind != "origins" and kind not in TABLES:
                self._refuse(there, "is not a setting", document.where(here), _suggestion(there))
            elif isinstance(value, dict):
                if kind == "origins.NAME":
                    self.tables.setdefault(there, document.where(here))
                self._add_table(document, value, here, there, first)
            else:
                self._refuse(there, f"is a table: write [{written(there)}]", document.where(here))

    def _add_list(self, document: Document, name: str, value: object, first: Mapping[str, int]) -> None:
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            self._refuse((name,), f"is a list of tables: write [[{name}]]", document.where((name,)))
            return
        for index, item in enumerate(value):
            keys = (name, first[name] + index)
            self.tables[keys] = document.where((name, index))
            self._add_table(document, item, (name, index), keys, first)

    def _add_value(self, keys: Keys, raw: object, where: Where) -> None:
        if (other := self.values.get(keys)) is not None:
            self._refuse(keys, f"is already set at {other.where}", where)
        self.values[keys] = Given(raw, where)

    def _override(self, keys: Keys, raw: object, where: Where) -> None:
        table = keys[:2]
        if keys[0] == "origins":
            self.tables.setdefault(table, where)
        elif keys[0] in LISTS and table not in self.tables:
            count = len(self.members(str(keys[0])))
            if keys[1] != count:
                self._refuse(keys, f"is past the end: the next one is {written((keys[0], count))}", where)
                return
            self.tables[table] = where
        self.values[keys] = Given(raw, where, is_text=isinstance(raw, str))

    def _replace_listeners(self, flags: Mapping[str, object]) -> None:
        self.values = {keys: given for keys, given in self.values.items() if keys[0] != "listen"}
        self.tables = {keys: where for keys, where in self.tables.items() if keys[0] != "listen"}
        plain, secure = (
            [*addresses] if isinstance(addresses := flags.get(name), Sequence) else [] for name in _LISTENS
        )
        for index, address in enumerate([*plain, *secure]):
            self._override(("listen", index, "address"), address, COMMAND_LINE)
            if index >= len(plain):
                self._override(("listen", index, "tls"), flags.get("tls"), COMMAND_LINE)

    def _set_default_origin(self, urls: Sequence[object]) -> None:
        """Define the origin `default`, and a site for all hosts when there is no site yet."""
        if self.members("site"):
            self._refuse(("origins", "default"), "cannot be given beside a file with sites", COMMAND_LINE)
            return
        self._override(("origins", "default", "urls"), list(urls), COMMAND_LINE)
        self._override(("site", 0, "hosts"), ["*"], COMMAND_LINE)
        self._override(("site", 0, "origin"), "default", COMMAND_LINE)

    def _from_variable(self, name: str) -> Keys:
        keys: Keys = tuple(int(part) if part.isdecimal() else part.lower() for part in name.split("__"))
        if keys[0] != "origins" or len(keys) < 2:
            return keys
        # A variable cannot spell "-" or tell upper from lower case: an origin of the file is found all the same.
        spelled = {str(known[1]).lower().replace("-", "_"): known[1] for known in self.members("origins")}
        return (keys[0], spelled.get(str(keys[1]), keys[1]), *keys[2:])

    def _refuse(self, keys: Keys, sentence: str, where: Where, suggestion: str = "") -> None:
        self.problems.append(Problem(written(keys), sentence, where, suggestion))


def _suggestion(keys: Keys) -> str:
    """Return the nearest setting or table beside `keys`, or one of the same name elsewhere, or ""."""
    table, name = pattern(keys[:-1]), str(keys[-1])
    beside = {
        path.removeprefix(f"{table}.").partition(".")[0].removesuffix("[]"): None
        for path in BY_PATH
        if not table or path.startswith(f"{table}.")
    }
    if near := difflib.get_close_matches(name, beside, n=1):
        return near[0]
    return next((path for path in BY_PATH if path.rpartition(".")[2] == name), "")
