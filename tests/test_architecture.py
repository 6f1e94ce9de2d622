"""The house rules that no linter knows.  Each failure names the file to fix."""

import ast
import re
from pathlib import Path

import pytest

from edge import errors, reasons
from edge.caching.reuse import Detail, Fwd
from edge.caching.storing import NotStored

ROOT = Path(__file__).parents[1]
PURE = ("edge/semantics", "edge/caching", "edge/policy")
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob("edge/**/*.py"))
PACKAGES = sorted(
    path.relative_to(ROOT).as_posix() for name in ("edge", "origin") for path in ROOT.glob(f"{name}/**/__init__.py")
)
PURE_MODULES = [module for module in MODULES if module.startswith(PURE) and module not in PACKAGES]
ERRORS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.EdgeError)]
TOKENS = {token.value for tokens in (NotStored, Detail) for token in tokens} | {error.detail for error in ERRORS}


def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(), module)


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_never_waits(module):
    waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
    assert [node.lineno for node in ast.walk(tree(module)) if isinstance(node, waiting)] == []


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_has_its_own_test_file(module):
    path = Path(module)
    assert (ROOT / "tests" / path.relative_to("edge").with_name(f"test_{path.name}")).is_file()


@pytest.mark.parametrize("module", PURE_MODULES)
def test_a_pure_module_is_tested_without_waiting(module):
    path = Path(module)
    test = Path("tests") / path.relative_to("edge").with_name(f"test_{path.name}")
    assert [node.name for node in ast.walk(tree(test.as_posix())) if isinstance(node, ast.AsyncFunctionDef)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_begins_with_a_map_and_nothing_else(package):
    body = tree(package).body
    assert ast.get_docstring(tree(package))
    assert len(body) == 1


@pytest.mark.parametrize("module", MODULES)
def test_a_module_says_what_it_is(module):
    assert ast.get_docstring(tree(module))


@pytest.mark.parametrize("fwd", Fwd)
def test_every_reason_to_go_forward_is_explained(fwd):
    assert reasons.FORWARD[fwd.value].sentence


@pytest.mark.parametrize("token", sorted(TOKENS))
def test_every_detail_is_explained(token):
    assert all(reasons.DETAILS[token][:2])


def test_nothing_else_is_explained():
    assert set(reasons.FORWARD) == {fwd.value for fwd in Fwd}
    assert set(reasons.DETAILS) == TOKENS


def test_the_page_of_reasons_is_up_to_date():
    page = (ROOT / "docs/reference/reasons.md").read_text()
    assert page == reasons.markdown(), "run: python -m edge.reasons > docs/reference/reasons.md"


@pytest.mark.parametrize("token", sorted(TOKENS | set(Fwd)))
def test_a_reason_is_a_token(token):
    assert re.fullmatch(r"[a-z]+(?:-[a-z]+)*", token)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__)
def test_an_error_can_be_answered(error):
    assert 400 <= error.status <= 599
    assert isinstance(error.retryable, bool)
    assert error.__doc__


@pytest.mark.parametrize("error", ERRORS[1:], ids=lambda error: error.__name__)
def test_an_error_is_somebodys_fault(error):
    branches = (
        errors.ParseError,
        errors.DownstreamError,
        errors.UpstreamError,
        errors.StoreError,
        errors.InternalError,
    )
    assert sum(issubclass(error, branch) for branch in branches) == 1
