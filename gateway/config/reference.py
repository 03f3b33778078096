"""The configuration reference in Markdown, made from the model: ``python -m gateway.config.reference``."""

from __future__ import annotations

import sys
from typing import Any

from pydantic import BaseModel

from gateway.config.model import Config, Policy, Rule


def markdown() -> str:
    """Return one table per section, in the model's order."""
    parts = []
    for name, field in Config.model_fields.items():
        model, title = _section(name, field.annotation)
        parts.append(f"**`[{title}]`** — {_first_sentence(model)}\n\n{_table(model)}")
        if model is Policy:
            parts.append(f"**`[[policy.rules]]`** — {_first_sentence(Rule)}\n\n{_table(Rule)}")
    return "\n\n".join(parts) + "\n"


def _section(name: str, annotation: Any) -> tuple[type[BaseModel], str]:  # noqa: ANN401 - a field's annotation may be anything
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, name
    return annotation.__args__[1], f"{name}.NAME"


def _first_sentence(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().splitlines()[0]


def _table(model: type[BaseModel]) -> str:
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    defaults = model.model_construct().model_dump(mode="json", warnings=False) if model.model_fields else {}
    for key, field in model.model_fields.items():
        default = "*required*" if field.is_required() else f"`{_toml(defaults[key])}`" if field.default is not None else ""
        rows.append(f"| `{key}` | {default} | {field.description} |")
    return "\n".join(rows)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return "[]" if value in ([], ()) else str(value)


if __name__ == "__main__":
    sys.stdout.write(markdown())
