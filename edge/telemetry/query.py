"""The language in which the log is asked: `status >= 500 and cache == "MISS" and path ~ "/api/*"`.

    expression = term *("or" term)          term = factor *("and" factor)
    factor = ["not"] ("(" expression ")" / comparison)
    comparison = field [("==" / "!=" / "<" / "<=" / ">" / ">=" / "~" / "!~") value]
    value = number / string in single or double quotes / word

A field alone asks whether it has a value.  `~` compares as a shell compares file names: "*" is any text, "?" any
character; without either, the text occurs anywhere.  Case does not matter.  There are no regular expressions: what one
person asks must not keep everybody waiting.
"""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from operator import eq, ge, gt, le, lt, ne
from typing import Any

Row = Mapping[str, object]
#: Returns whether a row is asked for.
Accepts = Callable[[Row], bool]

#: The longest query, characters, and how deep parentheses may go.
LONGEST, DEEPEST = 1000, 20
_ORDER: dict[str, Callable[[Any, Any], bool]] = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_token = re.compile(
    r"""\s*(?:(?P<op>==|!=|<=|>=|!~|[<>~()])|"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<word>[^\s<>=!~()"']+))"""
)
_number = re.compile(r"-?[0-9]+(?:\.[0-9]+)?").fullmatch


class QueryError(Exception):
    """A query that cannot be understood; `at` is where, in characters from the beginning."""

    def __init__(self, sentence: str, at: int) -> None:
        super().__init__(f"{sentence} (at character {at + 1})")
        self.at = at


def parse(text: str, fields: frozenset[str]) -> Accepts:
    """Return what tells whether a row, which may have `fields`, is asked for; "" asks for all.

    Raises:
        QueryError: it is no query, or asks for another field.
    """
    if len(text) > LONGEST:
        raise QueryError(f"the query is longer than {LONGEST} characters", LONGEST)
    if not text.strip():
        return lambda _: True
    parser = _Parser(text, fields)
    accepts = parser.expression(0)
    parser.end()
    return accepts


class _Parser:
    """What is left of a query."""

    def __init__(self, text: str, fields: frozenset[str]) -> None:
        self._text, self._fields, self._at = text, fields, 0

    def expression(self, depth: int) -> Accepts:
        terms = [self._term(depth)]
        while self._takes_word("or"):
            terms.append(self._term(depth))
        return terms[0] if len(terms) == 1 else lambda row: any(term(row) for term in terms)

    def end(self) -> None:
        if self._text[self._at :].strip():
            raise QueryError("the query should end here, or go on with and, or", self._at)

    def _term(self, depth: int) -> Accepts:
        factors = [self._factor(depth)]
        while self._takes_word("and"):
            factors.append(self._factor(depth))
        return factors[0] if len(factors) == 1 else lambda row: all(factor(row) for factor in factors)

    def _factor(self, depth: int) -> Accepts:
        is_negated = self._takes_word("not")
        accepts = self._group(depth) if self._takes("(") else self._comparison()
        return (lambda row: not accepts(row)) if is_negated else accepts

    def _group(self, depth: int) -> Accepts:
        if depth >= DEEPEST:
            raise QueryError("too many parentheses in each other", self._at)
        accepts = self.expression(depth + 1)
        if not self._takes(")"):
            raise QueryError("a parenthesis is not closed", self._at)
        return accepts

    def _comparison(self) -> Accepts:
        at = self._at
        match = self._next()
        if match is None or match["word"] is None:
            raise QueryError("a field is missing", at)
        name = match["word"]
        if name not in self._fields:
            close = get_close_matches(name, self._fields, 1)
            raise QueryError(
                f"there is no field {name}" + (f"; did you mean {close[0]}?" if close else ""), match.start("word")
            )
        match = self._peek()
        operator = None if match is None else match["op"]
        if operator is None or operator in "()":
            return lambda row: bool(row.get(name))
        self._next()
        return _comparing(name, operator, self._value())

    def _value(self) -> str:
        at = self._at
        match = self._next()
        value = (
            None
            if match is None
            else next((match[kind] for kind in ("double", "single", "word") if match[kind] is not None), None)
        )
        if value is None:
            raise QueryError("a value is missing", at)
        return value

    def _peek(self) -> re.Match[str] | None:
        match = _token.match(self._text, self._at)
        if match is None and self._text[self._at :].strip():
            raise QueryError("this is not understood", self._at)
        return match

    def _next(self) -> re.Match[str] | None:
        match = self._peek()
        if match is not None:
            self._at = match.end()
        return match

    def _takes(self, operator: str) -> bool:
        match = self._peek()
        if match is None or match["op"] != operator:
            return False
        self._at = match.end()
        return True

    def _takes_word(self, word: str) -> bool:
        match = self._peek()
        if match is None or (match["word"] or "").lower() != word:
            return False
        self._at = match.end()
        return True


def _comparing(name: str, operator: str, value: str) -> Accepts:
    if operator in {"~", "!~"}:
        pattern = value.lower() if "*" in value or "?" in value else f"*{_literal(value.lower())}*"
        wanted = operator == "~"
        return lambda row: fnmatchcase(str(row.get(name, "")).lower(), pattern) is wanted
    compare = _ORDER[operator]
    number = float(value) if _number(value) else None

    def accepts(row: Row) -> bool:
        found = row.get(name)
        if found is None:
            return operator == "!="
        if number is not None and isinstance(found, int | float):
            return compare(found, number)
        return compare(str(found).lower(), value.lower())

    return accepts


def _literal(text: str) -> str:
    return text.replace("[", "[[]")
