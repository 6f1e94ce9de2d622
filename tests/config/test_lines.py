import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.config.lines import locate


@pytest.mark.parametrize(
    ("text", "keys", "line"),
    [
        pytest.param("\n# a\na = 1", ("a",), 3, id="a key after blank lines and comments"),
        pytest.param("[t]\n\na = 1", ("t", "a"), 3, id="a key of a table"),
        pytest.param("[ t . 'u.v' ]\na = 1", ("t", "u.v", "a"), 2, id="a quoted part with a dot"),
        pytest.param('[t]\na."b\\u0063".d = 1', ("t", "a", "bc", "d"), 2, id="a dotted key with an escape"),
        pytest.param("[[t]]\n[[t]]\na = 1", ("t", 1, "a"), 3, id="the second of a list of tables"),
        pytest.param("[[t]]\n[[t]]\n[t.u]\na = 1", ("t", 1, "u", "a"), 4, id="a table in the second of a list"),
        pytest.param("[[t]]\n[[t.u]]\n[[t.u]]\na = 1", ("t", 0, "u", 1, "a"), 4, id="a list in a list"),
        pytest.param("a = { b = 1, c = { d = 2 } }\ne = 1", ("a", "c", "d"), 1, id="a key of inline tables"),
        pytest.param("a = [\n 1, # ]\n { b = ']' },\n]\nc = 1", ("a", 1, "b"), 3, id="a table in an array over lines"),
        pytest.param("a = [\n 1, # ]\n { b = ']' },\n]\nc = 1", ("c",), 5, id="a key after an array over lines"),
        pytest.param('a = """\nb = 1\n\\""" c"""\nd = 1', ("d",), 4, id="a key after a string over lines"),
        pytest.param("a = '''\n[b]\n'''''\nd = 1", ("d",), 4, id="a string that ends in quotes"),
        pytest.param('a = ""\nb = ""\n', ("b",), 2, id="empty strings"),
        pytest.param("a = 1\r\nb = 2020-01-01 10:00:00\r\nc = 3", ("c",), 3, id="carriage returns"),
        pytest.param("a = '' # '''\nb = 1", ("b",), 2, id="quotes in a comment"),
    ],
)
def test_the_line_of_a_key(text, keys, line):
    tomllib.loads(text)
    assert locate(text)[keys] == line


_plain = st.text(st.characters(codec="ascii", exclude_characters="\x00"), max_size=12)
_names = st.sampled_from(["a", "b", "c-d", "e_f"])
_strings = st.one_of(
    _plain.map(lambda text: "'" + "".join(c for c in text if c.isprintable() and c != "'") + "'"),
    _plain.map(lambda text: '"""' + "".join(c for c in text if c.isprintable() and c not in '"\\') + '\n"""'),
    st.just("'''\n''\n'''"),
    st.integers().map(str),
    st.lists(st.just("'#'"), max_size=3).map(lambda items: "[\n" + ",\n".join(items) + "\n]"),
)


@given(st.dictionaries(_names, _strings))
def test_every_key_is_found_on_its_line(values):
    text = "".join(f"# {name}\n{name} = {value}\n" for name, value in values.items())
    tomllib.loads(text)
    found = locate(text)
    for name in values:
        assert text.splitlines()[found[name,] - 1].startswith(f"{name} = ")
