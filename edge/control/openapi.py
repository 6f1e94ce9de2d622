"""The OpenAPI document of the admin plane, made from its endpoints."""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from edge.control import problems
from edge.control.endpoint import Endpoint, statuses

#: A part of a path that varies, as aiohttp writes it.
PARAMETER = re.compile(r"\{(\w+)(?::[^{}]*)?\}")
_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}


def document(endpoints: Iterable[Endpoint], version: str) -> Mapping[str, Any]:
    """Return the document (OpenAPI 3.1)."""
    endpoints = list(endpoints)
    kinds = [
        kind
        for endpoint in endpoints
        for kind in (endpoint.takes, endpoint.refuses, *endpoint.gives)
        if kind is not None
    ]
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = {str(kind): schema for kind, schema in zip(kinds, schemas, strict=True)}
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        path = PARAMETER.sub(r"{\1}", endpoint.path)
        paths.setdefault(path, {})[endpoint.method.lower()] = _operation(endpoint, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Foreland admin API", "version": version},
        "paths": paths,
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            "securitySchemes": {
                "Authorization": {"type": "http", "scheme": "bearer"},
                "Fastly-Key": {"type": "apiKey", "in": "header", "name": "Fastly-Key"},
            },
        },
    }


def _operation(endpoint: Endpoint, schema_of: Mapping[str, Any]) -> dict[str, Any]:
    content = {"schema": {"anyOf": [schema_of[str(kind)] for kind in endpoint.gives]}} if endpoint.gives else {}
    refusal = {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    if endpoint.refuses is not None:
        refusal["application/json"] = {"schema": schema_of[str(endpoint.refuses)]}
    operation: dict[str, Any] = {
        "summary": endpoint.sentence,
        "parameters": _parameters(endpoint),
        "responses": {
            "200": {"description": "Done.", "content": {endpoint.media_type: content}},
            **{
                str(code): {"description": HTTPStatus(code).phrase, "content": refusal if code >= 400 else {}}
                for code in statuses(endpoint)
            },
        },
    }
    if endpoint.scope is not None:
        operation["security"] = [{endpoint.credentials: []}]
        operation["description"] = f"Needs a token with the scope `{endpoint.scope}`."
    if endpoint.takes is not None:
        schema = schema_of[str(endpoint.takes)]
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    text = {"schema": {"type": "string"}}
    return [
        *({"name": name, "in": "path", "required": True, **text} for name in PARAMETER.findall(endpoint.path)),
        *({"name": name, "in": "query", "description": told, **text} for name, told in endpoint.query),
    ]
