"""OpenAPI documents as clusters serve them, in small."""

from __future__ import annotations

from typing import Any

from gateway.client.jobfile.schema import Submission, submission_of


def document(fields: dict[str, Any], schemas: dict[str, Any] | None = None, *, version: str = "v0.0.42") -> dict[str, Any]:
    """Return a document whose job has ``fields``."""
    schema = {
        "type": "object",
        "properties": {
            "script": {"type": "string"},
            "job": {"$ref": "#/components/schemas/job"},
            "jobs": {"type": "array", "items": {"$ref": "#/components/schemas/job"}},
        },
    }
    body = {"content": {"application/json": {"schema": schema}}}
    return {
        "openapi": "3.0.3",
        "info": {"version": "Slurm-24.11.5"},
        "paths": {f"/slurm/{version}/job/submit": {"post": {"requestBody": body}}},
        "components": {"schemas": {"job": {"type": "object", "properties": fields}, **(schemas or {})}},
    }


def submission(fields: dict[str, Any], schemas: dict[str, Any] | None = None, *, version: str = "v0.0.42") -> Submission:
    """Return what such a document says of a submission."""
    return submission_of(document(fields, schemas, version=version))


NUMBER = {"type": "object", "properties": {"set": {"type": "boolean"}, "infinite": {"type": "boolean"}, "number": {"type": "integer"}}}
TEXTS = {"type": "array", "items": {"type": "string"}}
NEW = {
    "name": {"type": "string"},
    "comment": {"type": "string"},
    "current_working_directory": {"type": "string"},
    "environment": TEXTS,
    "argv": TEXTS,
    "required_nodes": TEXTS,
    "nodes": {"type": "string"},
    "tasks": {"type": "integer", "format": "int32"},
    "deadline": {"type": "integer", "format": "int64"},
    "begin_time": NUMBER,
    "time_limit": NUMBER,
    "memory_per_node": NUMBER,
    "hold": {"type": "boolean"},
    "mail_type": {"type": "array", "items": {"type": "string", "enum": ["BEGIN", "END", "FAIL"]}},
    "flags": {"type": "array", "items": {"type": "string", "enum": ["SPREAD_JOB"]}},
    "power_flags": {"type": "array", "items": {}},
    "group_id": {"type": "string"},
    "tres_per_node": {"type": "string"},
    "script": {"type": "string"},
}
"""A part of what v0.0.42 describes."""
OLD = {
    "name": {"type": "string"},
    "current_working_directory": {"type": "string"},
    "environment": {"type": "object"},
    "argv": TEXTS,
    "nodes": {"type": "array", "items": {"type": "integer"}},
    "tasks": {"type": "integer"},
    "begin_time": {"type": "integer"},
    "time_limit": {"type": "integer"},
    "hold": {"type": "boolean"},
    "get_user_environment": {"type": "boolean"},
    "open_mode": {"type": "string", "enum": ["append", "truncate"]},
    "gres_flags": {"type": "string", "enum": ["disable-binding", "enforce-binding"]},
    "cpu_binding": {"type": "string"},
}
"""A part of what v0.0.38 describes."""
