"""What a cluster says of itself that a submission may hold: the part of its OpenAPI document that concerns one (pure).

The document comes from another machine: of each schema only the keywords are taken that are known here (OpenAPI 3.0.3 section 4.7.24), so that
no pattern of its is ever run and no reference followed but into the document itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.client.errors import NotUnderstoodError

_SUBMIT = re.compile(r"/slurm/(v0\.0\.([0-9]{1,4}))/job/submit")
_RELEASE = re.compile(r"Slurm-([0-9]{2}\.[0-9]{2})")
_REFERENCE = "#/components/schemas/"
_MOST = 1000
"""Schemas that a submission is described by; 24.11 has 40."""
_HINT = "Ask your administrators: the cluster's own description of its API, /openapi/v3, is not as Slurm writes it."
_TYPES = frozenset({"string", "integer", "number", "boolean", "array", "object"})

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """What ``version`` of the API takes: ``schema`` is a JSON Schema with definitions; ``release`` is Slurm's, where the document tells it."""

    version: str
    number: int
    release: str | None
    schema: Schema = field(repr=False)

    def fields(self) -> frozenset[str]:
        """Return the names of a job's fields."""
        job = self.resolved(self.resolved(self.schema).get("properties", {}).get("job", {}))
        return frozenset(job.get("properties", {}))

    def resolved(self, schema: Schema) -> Schema:
        """Return what ``schema`` refers to, or itself."""
        for _ in range(len(self.schema["definitions"]) + 1):
            if "$ref" not in schema:
                return schema
            schema = self.schema["definitions"].get(schema["$ref"].rpartition("/")[2], {})
        return {}


def submission_of(document: Any) -> Submission:  # noqa: ANN401 - JSON is what it is
    """Return what the newest version in an OpenAPI document takes; raise NotUnderstoodError if it does not tell."""
    paths = _object(_object(document).get("paths"))
    found = [match for match in map(_SUBMIT.fullmatch, paths) if match]
    if not found:
        raise NotUnderstoodError("the cluster's description of its API knows no submission of jobs", hint=_HINT)
    newest = max(found, key=lambda match: int(match[2]))
    step: Any = paths[newest[0]]
    for name in ("post", "requestBody", "content", "application/json", "schema"):
        step = _object(step).get(name)
    if not isinstance(step, dict):
        raise NotUnderstoodError("the cluster's description of its API does not say what a submission may hold", hint=_HINT)
    title = _object(_object(document).get("info")).get("version")
    release = _RELEASE.search(title) if isinstance(title, str) else None
    return Submission(
        version=newest[1],
        number=int(newest[2]),
        release=release[1] if release else None,
        schema=_Taken(_object(_object(_object(document).get("components")).get("schemas"))).whole(step),
    )


def _object(told: Any) -> Mapping[str, Any]:  # noqa: ANN401 - JSON is what it is
    return told if isinstance(told, dict) else {}


class _Taken:
    """Schemas as they are taken from a document, each that is referred to once."""

    def __init__(self, schemas: Mapping[str, Any]) -> None:
        self._schemas = schemas
        self._names: dict[str, str] = {}

    def whole(self, schema: Mapping[str, Any]) -> Schema:
        """Return ``schema`` with the definitions of all that it refers to."""
        top = self._schema(schema)
        definitions: dict[str, Schema] = {}
        while len(definitions) < len(self._names):
            name = list(self._names)[len(definitions)]
            if len(definitions) >= _MOST:
                raise NotUnderstoodError("the cluster's description of its API has no end", hint=_HINT)
            definitions[self._names[name]] = self._schema(_object(self._schemas[name]))
        return {**top, "definitions": definitions}

    def _schema(self, told: Any, depth: int = 0) -> Schema:  # noqa: ANN401 - JSON is what it is
        told = _object(told)
        if depth > 20:  # noqa: PLR2004 - those of Slurm have four levels
            return {}
        if isinstance(told.get("$ref"), str):
            return self._reference(told["$ref"])
        taken: Schema = {}
        kind = told.get("type")
        if isinstance(kind, str) and kind in _TYPES:
            taken["type"] = [kind, "null"] if told.get("nullable") is True else kind
        if isinstance(told.get("enum"), list) and all(isinstance(word, str) for word in told["enum"]):
            taken["enum"] = list(told["enum"])
        if isinstance(told.get("properties"), dict):
            taken["properties"] = {name: self._schema(inner, depth + 1) for name, inner in told["properties"].items()}
        if isinstance(told.get("items"), dict):
            taken["items"] = self._schema(told["items"], depth + 1)
        if isinstance(told.get("additionalProperties"), dict):
            taken["additionalProperties"] = self._schema(told["additionalProperties"], depth + 1)
        for word in ("oneOf", "anyOf", "allOf"):
            if isinstance(told.get(word), list) and told[word]:
                # To be one of several that may overlap is what Slurm's documents mean where they say oneOf.
                taken["allOf" if word == "allOf" else "anyOf"] = [self._schema(inner, depth + 1) for inner in told[word]]
        return taken

    def _reference(self, reference: str) -> Schema:
        """Return a reference to a definition, which is numbered, for a name may hold what a reference cannot."""
        name = reference.removeprefix(_REFERENCE)
        if not reference.startswith(_REFERENCE) or name not in self._schemas:
            return {}
        seen = {name}
        while isinstance(ahead := _object(self._schemas[name]).get("$ref"), str):
            name = ahead.removeprefix(_REFERENCE)
            if name in seen or name not in self._schemas:
                return {}
            seen.add(name)
        number = self._names.setdefault(name, f"s{len(self._names)}")
        return {"$ref": f"#/definitions/{number}"}
