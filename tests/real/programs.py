"""What the tests with real programs share: which programs there are, and processes that surely end."""

import os
import shutil
from typing import NoReturn

import pytest


def missing(sentence: str) -> NoReturn:
    """Fail where the tests must be whole (CI is set), skip elsewhere; `sentence` says what to install."""
    if os.environ.get("CI"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


def find(program: str, package: str) -> str:
    """Return the path of a program that a Debian package brings."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/local/sbin:/sbin")
    return path or missing(f"{program} is missing: install Debian's package {package}")
