"""What no setting can tell alone: settings that contradict each other, or name what is not there."""

import difflib
import importlib.util
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from edge.config.address import Address, OriginUrl
from edge.config.errors import Problem
from edge.config.given import Givens
from edge.config.kinds import SIZE, CertificateFiles, Value
from edge.config.lines import Keys
from edge.config.schema import written
from edge.config.tls import ACME, certifiable

Values = Mapping[Keys, Value]
# What a worker, and the sites without a quota of their own, need at least, octets: cache.max_size has the same bound.
_SMALLEST = 16 << 20


def contradictions(values: Values, givens: Givens) -> Iterator[Problem]:
    """Yield a problem for each contradiction in `values`, which lack the settings that have a problem already."""
    for check in (
        _something_missing,
        _addresses,
        _tls,
        _acme,
        _admin,
        _own_origins,
        _sites,
        _keys,
        _cache,
        _limits,
        _origins,
        _files,
        _shares,
    ):
        for keys, sentence, suggestion in check(values, givens):
            yield Problem(written(keys), sentence, givens.where(keys), suggestion)


Findings = Iterator[tuple[Keys, str, str]]


def _something_missing(_values: Values, givens: Givens) -> Findings:
    if not givens.members("listen"):
        yield ("listen",), "there is no listener: add [[listen]] with an address, or give --listen", ""
    if not givens.members("origins"):
        yield ("origins",), "there is no origin: add [origins.app] with urls, or give --origin", ""
    elif not givens.members("site"):
        yield ("site",), 'there is no site: add [[site]] with hosts = ["*"] and an origin', ""


def _addresses(values: Values, _givens: Givens) -> Findings:
    taken: dict[Keys, Address] = {}
    for keys, value in values.items():
        if not isinstance(value, Address):
            continue
        for other, address in taken.items():
            if value.overlaps(address):
                yield keys, f"{value} is already taken by {written(other)} = {address}", ""
                break
        taken[keys] = value


def _admin(values: Values, _givens: Givens) -> Findings:
    address = values.get(("admin", "address"))
    given = {name: values.get(("admin", name)) is not None for name in ("cert_file", "key_file", "token_file")}
    if given["cert_file"] != given["key_file"]:
        one, other = ("cert_file", "key_file") if given["cert_file"] else ("key_file", "cert_file")
        yield ("admin", one), f"needs admin.{other} beside it", ""
    elif given["cert_file"] and not isinstance(address, Address):
        yield ("admin", "cert_file"), "has no effect: TLS is spoken on an address only", ""
    if isinstance(address, Address) and not address.is_loopback:
        needed = [f"admin.{name}" for name, there in given.items() if not there]
        if needed:
            told = f"{address} can be reached from other machines, which needs {' and '.join(needed)}"
            yield ("admin", "address"), told, ""


def _tls(values: Values, givens: Givens) -> Findings:
    listeners = givens.members("listen")
    secure = [keys for keys in listeners if values.get((*keys, "tls")) is not None]
    for keys in listeners:
        if keys not in secure and values.get((*keys, "client_ca")) is not None:
            yield (*keys, "client_ca"), "has no effect without tls", ""
    ports = [address.port for keys in secure if isinstance(address := values.get((*keys, "address")), Address)]
    plain = [keys for keys in listeners if keys not in secure]
    for site in givens.members("site"):
        is_redirecting = values.get((*site, "https")) == "redirect"
        if values.get((*site, "client_ca")) is not None:
            if not secure:
                yield (*site, "client_ca"), "needs a listener with tls: elsewhere, no client can show a certificate", ""
            elif plain and not is_redirecting:
                told = f"nobody can show a certificate at {written(plain[0])}, which has no tls"
                yield (*site, "client_ca"), f'needs https = "redirect": {told}', ""
        if not is_redirecting:
            continue
        if not secure:
            yield (*site, "https"), "needs a listener with tls to redirect to", ""
        elif ports[:1] == [0]:
            yield (*site, "https"), "needs a listener with tls whose port is not 0", ""


def _acme(values: Values, givens: Givens) -> Findings:
    listeners = givens.members("listen")
    wanting = [keys for keys in listeners if values.get((*keys, "tls")) == ACME]
    if not wanting:
        return
    asks = (*wanting[0], "tls")
    if importlib.util.find_spec("acme") is None:
        yield asks, "needs the extra acme: pip install foreland[acme]", ""
    if values.get(("acme", "terms_agreed")) is False:
        yield ("acme", "terms_agreed"), "has to be true: no authority issues certificates otherwise", ""
    for index, address in enumerate(_items(values, ("acme", "contact"))):
        if "@" not in address:
            yield ("acme", "contact"), f"item {index + 1} is not a mail address", ""
    is_plain = any(values.get((*keys, "tls")) is None for keys in listeners)
    if _items(values, ("acme", "challenges")) == ["http-01"] and not is_plain:
        yield ("acme", "challenges"), "http-01 needs a listener without tls, reached on port 80", ""
    sites = givens.members("site")
    for site in sites:
        for host in _items(values, (*site, "hosts")):
            if host.startswith("*."):
                yield (*site, "hosts"), f'"{host}" needs a DNS-01 challenge, which this version does not have', ""
    if sites and not any(certifiable(_items(values, (*site, "hosts"))) for site in sites):
        yield asks, "no site has a host name that a certificate could be for", ""


def _items(values: Values, keys: Keys) -> list[str]:
    items = values.get(keys)
    return [str(item) for item in items] if isinstance(items, tuple) else []


def _own_origins(values: Values, _givens: Givens) -> Findings:
    own = {keys: value for keys, value in values.items() if isinstance(value, Address)}
    for keys, urls in values.items():
        for url in urls if isinstance(urls, tuple) else ():
            if not isinstance(url, OriginUrl):
                continue
            for other, address in own.items():
                if address.is_reached_by(url):
                    yield keys, f"{url} is this node itself: {written(other)} = {address}", ""


def _sites(values: Values, givens: Givens) -> Findings:
    origins = [str(keys[1]) for keys in givens.members("origins")]
    taken: dict[str, Keys] = {}
    for site in givens.members("site"):
        origin = values.get((*site, "origin"))
        if isinstance(origin, str) and origin not in origins:
            near = difflib.get_close_matches(origin, origins, n=1)
            yield (*site, "origin"), f"there is no [origins.{origin}]", f'"{near[0]}"' if near else ""
        hosts = values.get((*site, "hosts"))
        for host in hosts if isinstance(hosts, tuple) else ():
            other = taken.setdefault(str(host), site)
            if other != site:
                yield (*site, "hosts"), f'"{host}" belongs to {written(other)} already ({givens.where(other)})', ""
        if isinstance(hosts, tuple) and len(set(hosts)) < len(hosts):
            yield (*site, "hosts"), "names a host twice", ""


def _keys(values: Values, givens: Givens) -> Findings:
    for site in givens.members("site"):
        keep, drop = values.get((*site, "key", "keep")), values.get((*site, "key", "drop"))
        if keep and drop:
            yield (*site, "key", "drop"), "cannot be given with keep: what is not kept is dropped", ""
        if (keep or drop) and values.get((*site, "key", "query")) == "none":
            yield (*site, "key", "query"), '"none" leaves nothing to keep or drop', ""


def _cache(values: Values, givens: Givens) -> Findings:
    most, pinned = values.get(("cache", "max_size")), values.get(("cache", "pinned"))
    if not isinstance(most, int):
        return
    if isinstance(pinned, int) and pinned > most // 2:
        yield ("cache", "pinned"), "is more than half of cache.max_size: the rest of the store must turn around it", ""
    left = most - _SMALLEST
    for site in givens.members("site"):
        quota = values.get((*site, "quota"))
        left -= quota if isinstance(quota, int) else 0
        if left < 0:
            yield (*site, "quota"), f"leaves less than {SIZE.write(_SMALLEST)} of cache.max_size to all other sites", ""
            return


def _limits(values: Values, _givens: Givens) -> Findings:
    field, section = values.get(("limits", "field")), values.get(("limits", "field_section"))
    if isinstance(field, int) and isinstance(section, int) and field > section:
        yield ("limits", "field"), "is larger than limits.field_section", ""


def _origins(values: Values, givens: Givens) -> Findings:
    for origin in givens.members("origins"):
        idle, most = values.get((*origin, "keepalive")), values.get((*origin, "max_connections"))
        if isinstance(idle, int) and isinstance(most, int) and idle > most:
            yield (*origin, "keepalive"), f"is larger than max_connections = {most}", ""
        urls = values.get((*origin, "urls"))
        if (
            isinstance(urls, tuple)
            and urls
            and all(isinstance(url, OriginUrl) and url.scheme == "http" for url in urls)
        ):
            for name in ("ca_file", "server_name"):
                if values.get((*origin, name)) is not None:
                    yield (*origin, name), "has no effect on an http origin", ""


def _shares(values: Values, givens: Givens) -> Findings:
    size, workers = values.get(("cache", "max_size")), values.get(("workers",))
    if not isinstance(workers, int):
        return
    if isinstance(size, int) and size // workers < _SMALLEST:
        yield ("cache", "max_size"), f"is less than {SIZE.write(_SMALLEST)} for each of {workers} workers", ""
    for site in givens.members("site"):
        if workers > 1 and values.get((*site, "quota")) is not None:
            yield (*site, "quota"), f"needs workers = 1: {workers} workers cannot divide it yet", ""


def _files(values: Values, _givens: Givens) -> Findings:
    for keys, value in values.items():
        if keys[-1] in {"ca_file", "client_ca"}:
            paths = [value]
        elif keys[-1] == "tls" and isinstance(value, tuple):
            paths = [path for files in value if isinstance(files, CertificateFiles) for path in (files.cert, files.key)]
        else:
            continue
        for path in paths:
            if isinstance(path, Path) and not os.access(path, os.R_OK):
                yield keys, f"{path} cannot be read", ""
