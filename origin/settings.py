"""The origin's configuration: a TOML file, over which the command line has the last word."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import msgspec

from origin.quantities import parse_duration, parse_size
from origin.rules import API_RULES, SITE_RULES, Rule

SITE = Path(__file__).parent / "site"

_listen = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]*):(\d{1,5})", re.ASCII).fullmatch


class SettingError(ValueError):
    """A setting cannot be used; the text is a sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the origin serves.

    Attributes:
        root: the directory to serve, resolved.
        host: the address to listen on.
        port: the port to listen on; 0 picks a free one.
        delay: seconds before each final response.
        bandwidth: octets of content a second and response at most; None for no bound.
        knobs: whether the query can turn knobs.
        quiet: whether requests are left unlogged.
        rules: Cache-Control by pattern, in order of precedence.
    """

    root: Path = SITE
    host: str = "127.0.0.1"
    port: int = 9000
    delay: float = 0.0
    bandwidth: int | None = None
    knobs: bool = True
    quiet: bool = False
    rules: tuple[Rule, ...] = API_RULES + SITE_RULES


class FileRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A `[[rule]]` table."""

    match: str
    cache_control: str


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file as it is written, everything optional."""

    root: str | None = None
    listen: str | None = None
    delay: str | None = None
    bandwidth: str | None = None
    knobs: bool = True
    quiet: bool = False
    rule: tuple[FileRule, ...] = ()


def read_file(path: Path) -> File:
    """Return the configuration in `path`, whose `root` is relative to its directory; SettingError if it is not one."""
    try:
        file = msgspec.convert(tomllib.loads(path.read_text("utf-8")), File)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise SettingError(f"{path}: {error}") from error
    return file if file.root is None else msgspec.structs.replace(file, root=str(path.parent / file.root))


def settle(file: File, rules: tuple[Rule, ...] = ()) -> Settings:
    """Return the settings of `file`, with `rules` before its own; SettingError if a value cannot be used."""
    root = SITE if file.root is None else Path(file.root)
    if not root.is_dir():
        raise SettingError(f"root: {root} is not a directory")
    host, port = parse_listen(file.listen or "127.0.0.1:9000")
    written = tuple(_checked(Rule(rule.match, rule.cache_control)) for rule in file.rule)
    try:
        delay = parse_duration(file.delay or "0")
        bandwidth = parse_size(file.bandwidth) if file.bandwidth else None
    except ValueError as error:
        raise SettingError(str(error)) from error
    if bandwidth == 0:
        raise SettingError("bandwidth must be at least 1")
    # Somebody else's files say nothing about how long they stay as they are.
    defaults = API_RULES + SITE_RULES if file.root is None else API_RULES
    return Settings(root.resolve(), host, port, delay, bandwidth, file.knobs, file.quiet, rules + written + defaults)


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of "127.0.0.1:9000", "[::1]:9000" or ":9000" (every address)."""
    match = _listen(text)
    if match is None or int(match[2]) > 65535:
        raise SettingError(f"listen: {text!r} is not an address and a port such as 127.0.0.1:9000")
    return match[1].strip("[]") or "0.0.0.0", int(match[2])  # noqa: S104 - the operator left the address out


def parse_rule(text: str) -> Rule:
    """Return the rule written as PATTERN=VALUE."""
    pattern, equals, value = text.partition("=")
    if not equals:
        raise SettingError(f"rule: {text!r} is not PATTERN=VALUE, such as '*.css=max-age=60'")
    return _checked(Rule(pattern.strip(), value.strip()))


def _checked(rule: Rule) -> Rule:
    if not rule.match or not re.fullmatch(r"[\x20-\x7e]+", rule.cache_control):
        raise SettingError(f"rule: {rule.match!r} needs a pattern and a Cache-Control value")
    return rule
