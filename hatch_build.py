"""Makes what a build adds to the sources: the gRPC stubs, and a note of where the build comes from."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROTOS = Path("interfaces/grpc/protos")
STUBS = Path("interfaces/grpc/stubs")
PROVENANCE = "infrastructure/provenance.json"
FACTS = {"commit": "USERSD_COMMIT", "build_time": "USERSD_BUILD_TIME"}
"""What `/health` tells of a build, and the variables by which whoever builds gives it."""


class StubsHook(BuildHookInterface[Any]):
    """What hatchling calls before it puts a wheel together, an editable one too."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        generate(Path(self.root))
        # Git ignores them, and hatchling leaves out what Git ignores.
        build_data["artifacts"].append(f"/{STUBS}/")
        facts = {name: os.environ[variable] for name, variable in FACTS.items() if os.environ.get(variable)}
        if version != "editable" and facts:
            # A checkout moves on, so that only a wheel can say where it comes from.
            written = Path(self.root, "build", Path(PROVENANCE).name)
            written.parent.mkdir(exist_ok=True)
            written.write_text(json.dumps(facts))
            build_data["force_include"][str(written)] = PROVENANCE


def generate(root: Path) -> None:
    """Write the stubs of all .proto files of a source tree. Raises SystemExit where one is not valid.

    The code lies in a package of ours: on the top level `token` would hide a module of the standard library.
    """
    from grpc_tools import protoc

    files = sorted(path.relative_to(root / PROTOS) for path in (root / PROTOS).rglob("*.proto"))
    fresh = root / "build" / "stubs"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    outputs = [f"--python_out={fresh}", f"--pyi_out={fresh}", f"--grpc_python_out={fresh}"]
    typed = Path(sys.executable).with_name("protoc-gen-mypy_grpc")
    if typed.exists() and importlib.util.find_spec("mypy_protobuf"):
        # The types of clients and servers, where there is somebody to check them.
        outputs += [f"--plugin={typed.name}={typed}", f"--mypy_grpc_out=quiet:{fresh}"]
    well_known = Path(protoc.__file__).parent / "_proto"
    arguments = [f"-I{STUBS}={root / PROTOS}", f"-I{well_known}", *outputs]
    if protoc.main(["protoc", *arguments, *(f"{STUBS / file}" for file in files)]) != 0:
        raise SystemExit(f"No stubs: a file in {PROTOS} is not valid; the lines above say where.")
    _replace(fresh / STUBS, root / STUBS)


def _replace(fresh: Path, stubs: Path) -> None:
    """Put the fresh stubs where the others were, file by file: somebody may be running on them."""
    for folder in {file.parent for file in fresh.rglob("*_pb2.py")}:
        for package in (folder, *folder.parents[: len(folder.relative_to(fresh).parts)]):
            (package / "__init__.py").write_text('"""Made from the .proto files; not to be edited."""\n')
    made = {stubs / file.relative_to(fresh): file for file in fresh.rglob("*.py*")}
    for target, file in made.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or target.read_bytes() != file.read_bytes():
            file.replace(target)
    for other in stubs.rglob("*.py*"):
        if other not in made and other.parent.name != "__pycache__":
            other.unlink()


if __name__ == "__main__":
    generate(Path(__file__).parent)
