import dataclasses
from pathlib import Path
from typing import get_args, get_type_hints

from edge.config import model
from edge.config.example import example
from edge.config.reference import markdown
from edge.config.schema import BY_PATH, REQUIRED, SENTENCES, SETTINGS, TABLES, UNSET, pattern, read, written

ROOT = Path(__file__).parents[2]
MODELS = {
    "": model.Config, "listen[]": model.Listener, "cache": model.Cache, "acme": model.Acme, "admin": model.Admin,
    "push": model.Push, "limits": model.Limits, "origins.NAME": model.Origin, "site[]": model.Site,
    "site[].key": model.SiteKey, "site[].ttl": model.SiteTtl,
    "site[].range": model.SiteRange, "site[].compression": model.SiteCompression, "watchdog": model.Watchdog, "log": model.Log,
}  # fmt: skip


def test_the_model_has_an_attribute_for_each_setting_and_no_other():
    tables = {
        "listeners", "cache", "acme", "admin", "push", "origins", "sites", "limits", "watchdog", "log", "places", *model.NESTED,
    }  # fmt: skip
    for table, record in MODELS.items():
        names = {field.name for field in dataclasses.fields(record)} - tables
        assert names == {setting.path.rpartition(".")[2] for setting in TABLES[table]}
    assert MODELS.keys() == TABLES.keys() == SENTENCES.keys()


def test_the_model_has_the_words_of_each_enumeration():
    for table, record in MODELS.items():
        hints = get_type_hints(record)
        for setting in TABLES[table]:
            if setting.kind.words:
                assert get_args(hints[setting.path.rpartition(".")[2]]) == setting.kind.words


def test_each_default_is_valid():
    for setting in SETTINGS:
        if setting.default is not REQUIRED and setting.default is not UNSET:
            read(setting, setting.default, text=False)


def test_each_sentence_is_one():
    assert all(setting.sentence.endswith(".") and "|" not in setting.sentence for setting in SETTINGS)
    assert len(BY_PATH) == len(SETTINGS)


def test_keys_have_a_pattern_and_a_spelling():
    keys = ("site", 3, "ttl", "default")
    assert (pattern(keys), written(keys)) == ("site[].ttl.default", "site[3].ttl.default")
    assert pattern(("origins", "app", "urls")) == "origins.NAME.urls"


def test_the_reference_is_up_to_date():
    page = (ROOT / "docs/reference/settings.md").read_text()
    assert page == markdown(), "run: python -m edge.config.reference > docs/reference/settings.md"


def test_the_complete_example_is_up_to_date():
    text = (ROOT / "config/edge.toml").read_text()
    assert text == example(), "run: python -m edge.config.example > config/edge.toml"
