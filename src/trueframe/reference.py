"""The reference page of params.yaml, docs/params.md, from the parameters' own types and descriptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from trueframe.params import Params, section_of


def document() -> str:
    """docs/params.md: every parameter with its type, its range and its meaning."""
    lines = [
        "# params.yaml",
        "",
        "Generated from `src/trueframe/params.py` by `trueframe params`; a test keeps it in step.",
        "A value that can't change a byte of a result (workers, devices, servers) is no parameter.",
    ]
    for name, field in Params.model_fields.items():
        section = section_of(field.annotation)
        assert section is not None
        lines += ["", f"## {name}", "", section.__doc__ or "", "", "| parameter | values | meaning |", "|---|---|---|"]
        lines += [f"| `{key}` | {values} | {meaning} |" for key, values, meaning in _rows(section, name)]
    return "\n".join(lines) + "\n"


def _rows(model: type[BaseModel], prefix: str) -> Iterator[tuple[str, str, str]]:
    schema = model.model_json_schema()
    for name, field in model.model_fields.items():
        key = f"{prefix}.{name}"
        section = section_of(field.annotation)
        if field.description:
            yield key, _values(schema["properties"][name]), field.description
        if section is not None:
            yield from _rows(section, key + ("[]" if "list" in str(field.annotation) else ""))


def _values(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_values(choice) for choice in schema["anyOf"])
    if schema.get("type") == "array":
        fixed = "minItems" in schema and schema["minItems"] == schema.get("maxItems")
        size = f"{schema['minItems']} × " if fixed else "list of "
        return size + _values(schema["items"])
    kind = {
        "integer": "whole number",
        "number": "number",
        "string": "text",
        "null": "null",
        "boolean": "true or false",
    }.get(schema.get("type", ""), "row")
    limits = [
        f"{sign} {schema[key]:g}"
        for key, sign in {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}.items()
        if key in schema
    ]
    return " ".join([kind, ", ".join(limits)]).strip()
