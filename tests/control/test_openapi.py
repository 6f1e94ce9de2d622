"""The description of the admin plane."""

import re
from pathlib import Path

from edge.control.reference import markdown
from tests.control.plane import plane


async def test_the_description_names_every_endpoint_and_what_it_takes(tmp_path):
    async with plane(tmp_path, shapes=("fastly", "cloudflare")) as node, node.session.get("/openapi.json") as response:
        described = await response.json()
    assert described["openapi"] == "3.1.0"
    purge = described["paths"]["/v1/purge"]["post"]
    assert purge["security"] == [{"Authorization": []}]
    assert {"200", "400", "401", "403", "409", "413", "415", "422", "507"} <= purge["responses"].keys()
    schema = purge["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/PurgeRequest"}
    members = described["components"]["schemas"]["PurgeRequest"]
    assert members["additionalProperties"] is False
    assert members["properties"].keys() == {
        "urls",
        "prefixes",
        "hosts",
        "tags",
        "everything",
        "mode",
        "dry_run",
        "rewarm",
    }
    references = set(re.findall(r"#/components/schemas/(\w+)", str(described)))
    assert references <= described["components"]["schemas"].keys()
    assert described["paths"]["/v1/purges/{id}"]["get"]["parameters"][0]["in"] == "path"
    assert described["paths"]["/service/{service}/purge_all"]["post"]["security"] == [{"Fastly-Key": []}]


async def test_every_endpoint_that_changes_something_needs_a_token(tmp_path):
    async with plane(tmp_path, shapes=("fastly", "cloudflare")) as node, node.session.get("/openapi.json") as response:
        described = await response.json()
        for path, operations in described["paths"].items():
            for method, operation in operations.items():
                if method != "get":
                    assert operation["security"]
                    filled = re.sub(r"\{\w+\}", "x", path)
                    async with node.session.request(method, filled) as refused:
                        assert (refused.status, refused.content_type) == (401, "application/problem+json")


def test_the_reference_is_up_to_date():
    page = (Path(__file__).parents[2] / "docs/reference/endpoints.md").read_text()
    assert page == markdown(), "run: python -m edge.control.reference > docs/reference/endpoints.md"
