"""The profiles, and the page that explains them."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from edge.policy.profile import PROFILES, SAFE, STRICT_RFC, Profile

PAGE = Path(__file__).parents[2] / "docs" / "profiles.md"
SETTINGS = [field.name for field in fields(Profile) if field.name != "name"]


def rows() -> dict[str, list[str]]:
    """The cells of the page's table by setting."""
    found = re.findall(r"^\| `([a-z0-9_]+)` \|(.*)\|$", PAGE.read_text(), re.MULTILINE)
    return {setting: [cell.strip() for cell in rest.split("|")] for setting, rest in found}


def test_profiles_are_found_by_name():
    assert PROFILES == {"safe": SAFE, "strict-rfc": STRICT_RFC}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_profiles_differ_in_every_setting(setting):
    assert getattr(SAFE, setting) is not getattr(STRICT_RFC, setting)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_page_says_what_each_profile_does(setting):
    _meaning, safe, strict, why, reference = rows()[setting]
    answers = {True: "yes", False: "no"}
    assert (safe, strict) == (answers[getattr(SAFE, setting)], answers[getattr(STRICT_RFC, setting)])
    assert why
    assert reference.startswith("RFC ")


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_page_uses_the_words_of_the_code(setting):
    sentence = re.search(rf"^ +{setting}: (.+(?:\n {{12}}.+)*)$", Profile.__doc__ or "", re.MULTILINE)
    assert sentence is not None
    assert rows()[setting][0] == " ".join(sentence[1].split()).rstrip(".")


def test_the_page_has_no_other_settings():
    assert list(rows()) == SETTINGS
