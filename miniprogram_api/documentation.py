"""The OpenAPI document, and a page that shows it without a script from anywhere."""

import json
import re
from typing import Any

from flask import Blueprint, Response, render_template
from markupsafe import Markup, escape

from app.http.access import public
from app.http.api import Api

_METHODS = ("get", "post", "put", "patch", "delete")


def build(api: Api) -> Blueprint:
    """Return the routes that show the document of `api`."""
    documentation = Blueprint(
        "documentation", __name__, url_prefix="/miniprogram", template_folder="templates"
    )

    @documentation.get("/openapi.json")
    @public("whoever builds a client reads it; it holds no data")
    def openapi() -> Response:
        """Return the OpenAPI document."""
        text = json.dumps(api.document(), ensure_ascii=False, indent=1)
        return Response(text, content_type="application/json")

    @documentation.get("/docs")
    @public("whoever builds a client reads it; it holds no data")
    def docs() -> str:
        """Return the document as a page."""
        document = api.document()
        return render_template(
            "docs.html",
            info=document["info"],
            groups=_groups(document),
            shapes=_shapes(document),
            prose=_prose,
        )

    return documentation


def _prose(text: str) -> Markup:
    """Return paragraphs, lists and `code` as HTML; everything else is text."""
    blocks = []
    for block in text.split("\n\n"):
        marked = re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(block.strip())))
        if marked.startswith("- "):
            items = "".join(f"<li>{line.removeprefix('- ')}</li>" for line in marked.splitlines())
            blocks.append(f"<ul>{items}</ul>")
        elif marked:
            blocks.append(f"<p>{marked}</p>")
    return Markup("".join(blocks))  # noqa: S704 - every part was escaped above


def _groups(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the operations by tag, in the document's order."""
    groups = {tag["name"]: {**tag, "operations": []} for tag in document.get("tags", [])}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                operation["parameters"] = [*methods.get("parameters", []), *operation.get("parameters", [])]
                entry = {"method": method.upper(), "path": path, **operation}
                entry["body"] = _shape_name(operation.get("requestBody", {}))
                entry["answers"] = [
                    {"status": status, "shape": _shape_name(answer), **answer}
                    for status, answer in operation["responses"].items()
                ]
                groups[operation["tags"][0]]["operations"].append(entry)
    return list(groups.values())


def _shape_name(holder: dict[str, Any]) -> str | None:
    for content in holder.get("content", {}).values():
        reference: str = content.get("schema", {}).get("$ref", "")
        return reference.rpartition("/")[2] or None
    return None


def _shapes(document: dict[str, Any]) -> dict[str, Any]:
    """Return the schemas with their fields, each field's type in words."""
    return {
        name: {
            "fields": [
                {
                    "name": field,
                    "type": _type(schema),
                    "required": field in shape.get("required", []),
                    "description": schema.get("description", ""),
                    "link": _reference(schema),
                }
                for field, schema in shape.get("properties", {}).items()
            ]
        }
        for name, shape in sorted(document["components"]["schemas"].items())
    }


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(part) for part in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    if "enum" in schema:
        words = " | ".join(str(value) for value in schema["enum"] if value is not None)
    for bound, sign in (("minLength", "≥"), ("maxLength", "≤"), ("minimum", "≥"), ("maximum", "≤")):
        if bound in schema:
            words += f", {sign} {schema[bound]}"
    return words


def _reference(schema: dict[str, Any]) -> str | None:
    for part in (schema, schema.get("items", {}), *schema.get("anyOf", [])):
        if "$ref" in part:
            return str(part["$ref"].rpartition("/")[2])
    return None
