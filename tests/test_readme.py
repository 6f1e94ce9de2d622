"""What the README shows works: its configuration, its commands, its links."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT.joinpath("README.md").read_text()
PAGES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "CHANGELOG.md",
    *[f"docs/{page.name}" for page in sorted(ROOT.glob("docs/*.md"))],
]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def edge(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "edge", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_configuration_is_a_valid_one(tmp_path: Path) -> None:
    (shown,) = blocks("toml")
    (tmp_path / "edge.toml").write_text(shown)
    done = edge("check", "--config", str(tmp_path / "edge.toml"))
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.slow
def test_the_command_without_a_file_is_a_valid_configuration() -> None:
    lines = [line for block in blocks("console") for line in block.splitlines() if "edge serve" in line]
    for line in lines:
        words = shlex.split(line.removeprefix("$ "))
        done = edge("check", *words[2:])
        assert (done.returncode, done.stderr) == (0, "")
    assert lines


def test_every_make_target_is_there() -> None:
    targets = re.findall(r"^(\w+):.*## ", ROOT.joinpath("Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make (\w+) ", README)) <= set(targets)


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str) -> None:
    path = ROOT / page
    links = re.findall(r"\]\((?!https?:)([^)#]+)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []
