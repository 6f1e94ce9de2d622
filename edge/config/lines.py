"""On which line each key of a TOML document stands, which `tomllib` does not tell.

The document has been parsed already, so the scan may trust its grammar: it only has to find where tables and keys
begin and where strings, arrays and inline tables end.
"""

import re
import tomllib

Keys = tuple[str | int, ...]

_blank = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*").match
_key = re.compile(r"""[ \t]*("(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""").match
_string = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")' r"|'''.*?'{3,5}(?!')" r"|\"(?:[^\"\\]|\\.)*\"|'[^']*'", re.DOTALL
).match
_bare = re.compile(r"[^,\]}#\r\n]*").match


def locate(text: str) -> dict[Keys, int]:
    """Return the line, from 1 on, of every key, table and item of a list of tables in the valid TOML `text`."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._counted = (0, 1)
        self.found: dict[Keys, int] = {}
        self._counts: dict[Keys, int] = {}

    def document(self) -> None:
        table: Keys = ()
        self._skip_blank()
        while self.at < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._assignment(table)
            self._skip_blank()

    def _header(self) -> Keys:
        line = self._line()
        is_item = self.text.startswith("[[", self.at)
        self.at += 2 if is_item else 1
        keys = self._dotted()
        self.at += 2 if is_item else 1
        path: Keys = ()
        for key in keys[:-1]:
            path = self._latest((*path, key))
        path = (*path, keys[-1])
        if is_item:
            self._counts[path] = self._counts.get(path, 0) + 1
            self.found.setdefault(path, line)
            path = self._latest(path)
        self.found.setdefault(path, line)
        return path

    def _assignment(self, table: Keys) -> None:
        line = self._line()
        path = table
        for key in self._dotted():
            path = (*path, key)
            self.found.setdefault(path, line)
        self.at += 1  # "="
        self._value(path)

    def _value(self, path: Keys) -> None:
        self._skip_blank()
        match self.text[self.at]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                match = _string(self.text, self.at)
                self.at = match.end() if match else len(self.text)
            case _:
                match = _bare(self.text, self.at)
                self.at = match.end() if match else len(self.text)

    def _array(self, path: Keys) -> None:
        self.at += 1
        index = 0
        self._skip_blank()
        while self.text[self.at] != "]":
            self.found[*path, index] = self._line()
            self._value((*path, index))
            index += 1
            self._skip_separator()
        self.at += 1

    def _inline_table(self, path: Keys) -> None:
        self.at += 1
        self._skip_blank()
        while self.text[self.at] != "}":
            self._assignment(path)
            self._skip_separator()
        self.at += 1

    def _dotted(self) -> list[str]:
        keys: list[str] = []
        while (match := _key(self.text, self.at)) is not None:
            keys.append(_unquoted(match[1]))
            self.at = match.end()
            if self.text[self.at] != ".":
                break
            self.at += 1
        return keys

    def _latest(self, path: Keys) -> Keys:
        """Return the last item so far when `path` is a list of tables, and `path` itself otherwise."""
        count = self._counts.get(path)
        return path if count is None else (*path, count - 1)

    def _skip_blank(self) -> None:
        match = _blank(self.text, self.at)
        self.at = match.end() if match else self.at

    def _skip_separator(self) -> None:
        self._skip_blank()
        if self.text[self.at] == ",":
            self.at += 1
            self._skip_blank()

    def _line(self) -> int:
        at, line = self._counted
        self._counted = (self.at, line + self.text.count("\n", at, self.at))
        return self._counted[1]


def _unquoted(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 0")))
