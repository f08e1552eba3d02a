"""Renders a kustomization as far as ours go: resources, components, generators, labels, images, patches."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

_KNOWN = {
    "apiVersion", "kind", "resources", "components", "labels", "images", "namespace",
    "configMapGenerator", "secretGenerator", "patches",
}  # fmt: skip
_CLUSTER_WIDE = {"Namespace"}


def rendered(folder: Path) -> list[Resource]:
    """The resources of a kustomization, without the hashes that generators append to names."""
    return _apply(folder, [])


def _apply(folder: Path, given: list[Resource]) -> list[Resource]:
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert wanted.keys() <= _KNOWN, f"{folder}: {wanted.keys() - _KNOWN} is not rendered here"
    found = given + [made for name in wanted.get("resources", ()) for made in _read(folder / name)]
    for generator in wanted.get("configMapGenerator", ()):
        _generate(found, generator, "ConfigMap", dict(one.split("=", 1) for one in generator["literals"]))
    for generator in wanted.get("secretGenerator", ()):
        content = {Path(name).name: _encoded(folder / name) for name in generator["files"]}
        _generate(found, generator, "Secret", content)
    for name in wanted.get("components", ()):
        found = _apply(folder / name, found)
    for patch in wanted.get("patches", ()):
        _patch(found, patch)
    for labels in wanted.get("labels", ()):
        _label(found, labels["pairs"])
    for image in wanted.get("images", ()):
        _tag(found, image["name"], image["newTag"])
    for resource in found:
        if "namespace" in wanted and resource["kind"] not in _CLUSTER_WIDE:
            resource["metadata"]["namespace"] = wanted["namespace"]
    return found


def _read(path: Path) -> list[Resource]:
    if path.is_dir():
        return rendered(path)
    # Anchors are taken apart, so that a change of one place is none of another.
    return [copy.deepcopy(_plain(resource)) for resource in yaml.safe_load_all(path.read_text())]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _generate(found: list[Resource], generator: Resource, kind: str, content: dict[str, str]) -> None:
    if generator.get("behavior") == "merge":
        (merged,) = [one for one in found if (one["kind"], name(one)) == (kind, generator["name"])]
        merged["data"] |= content
        return
    found.append(
        {"apiVersion": "v1", "kind": kind, "metadata": {"name": generator["name"]}, "data": content}
        | ({"type": "Opaque"} if kind == "Secret" else {})
    )


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def _patch(found: list[Resource], patch: Resource) -> None:
    target = patch["target"]
    (patched,) = [one for one in found if (one["kind"], name(one)) == (target["kind"], target["name"])]
    for operation in yaml.safe_load(patch["patch"]):
        *folders, last = operation["path"].strip("/").split("/")
        place: Any = patched
        for step in folders:
            place = place[int(step)] if isinstance(place, list) else place[step]
        if isinstance(place, list) and last == "-":
            place.append(operation["value"])
        else:
            place[int(last) if isinstance(place, list) else last] = operation["value"]


def _label(found: list[Resource], pairs: dict[str, str]) -> None:
    for resource in found:
        holders = [resource["metadata"]]
        if "template" in resource.get("spec", {}):
            holders.append(resource["spec"]["template"]["metadata"])
        for holder in holders:
            holder["labels"] = holder.get("labels", {}) | pairs


def _tag(found: list[Resource], image: str, tag: str) -> None:
    for resource in found:
        for container in containers(resource):
            if container["image"] == image:
                container["image"] = f"{image}:{tag}"


def name(resource: Resource) -> str:
    return str(resource["metadata"]["name"])


def pod(resource: Resource) -> Resource | None:
    """What a workload's pods are made of, their labels and their spec."""
    found: Resource | None = resource.get("spec", {}).get("template")
    return found


def containers(resource: Resource) -> Iterator[Resource]:
    if template := pod(resource):
        yield from template["spec"].get("initContainers", ())
        yield from template["spec"]["containers"]
