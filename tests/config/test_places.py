import pytest

from edge.config.load import load
from edge.config.places import placed
from tests.config.test_load import written

TEXT = """\
[[listen]]
address = ":8080"
[origins.app]
urls = ["http://10.0.0.5:8000"]
max_connections = 500
[[site]]
hosts = ["a.test"]
origin = "app"
[[site]]
hosts = ["b.test"]
origin = "app"
ttl = { default = "5m" }
[site.key]
sort = true
drop = ["x"]
"""


@pytest.mark.parametrize(
    ("rule", "site", "told"),
    [
        pytest.param("RFC 9111 §4.2", "a.test", "RFC 9111 §4.2", id="a rule that is no setting"),
        pytest.param("setting site[].ttl.default", "b.test", "setting site[1].ttl.default: {0}:12", id="a line"),
        pytest.param("setting site[].key", "b.test", "setting site[1].key: {0}:14, {0}:15", id="several lines"),
        pytest.param("setting site[].key", "a.test", "setting site[0].key: its default", id="a default"),
        pytest.param("setting origins.*.max_connections", "a.test", "setting origins.app.max_connections: {0}:5", id="an origin"),
        pytest.param("setting cache.min_age", "", "setting cache.min_age: environment variable EDGE_CACHE__MIN_AGE", id="a variable"),
        pytest.param("setting limits.tunnels", "a.test", "setting limits.tunnels: command line", id="a flag"),
        pytest.param("setting site[].hosts", "", "setting site[].hosts", id="no site"),
    ],
)  # fmt: skip
def test_a_rule_is_told_with_its_place(tmp_path, rule, site, told):
    path = written(tmp_path, TEXT)
    config = load(path, {"limits.tunnels": 5}, {"EDGE_CACHE__MIN_AGE": "1h"})
    assert placed(config, rule, site) == told.format(path)
