"""Builds an image as a folder: the steps of a Dockerfile, run as they are written, without an engine."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

PLACES = re.compile(r"(?<![\w./-])/(opt|src|var/lib/usersd)(?=[/:;\s\"']|$)")
"""The folders of the image that steps write to; everything else is the base's, and this machine's here."""

_BUILDER_OF_THE_MACHINE = ("PIP_", "SSL_", "HTTP_", "HTTPS_", "http_", "https_", "NO_PROXY", "no_proxy")


class Step(NamedTuple):
    """One instruction: its word, its flags (`--from=build`), and the rest as it is written."""

    word: str
    flags: tuple[str, ...]
    rest: str

    def flag(self, name: str) -> str | None:
        return next((flag.partition("=")[2] for flag in self.flags if flag.startswith(f"--{name}=")), None)

    @property
    def words(self) -> list[str]:
        """The rest in its exec form, or split at spaces."""
        if self.rest.startswith("["):
            found: list[str] = json.loads(self.rest)
            return found
        return shlex.split(self.rest)


class Stage(NamedTuple):
    name: str
    base: str
    steps: tuple[Step, ...]

    def last(self, word: str) -> Step:
        return [step for step in self.steps if step.word == word][-1]


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile; what stands before the first FROM is a stage without a base."""
    stages = [Stage("", "", ())]
    for step in _steps(text):
        if step.word == "FROM":
            base, *named = step.words
            stages.append(Stage(named[-1] if named else "final", base, ()))
        else:
            stages[-1] = stages[-1]._replace(steps=(*stages[-1].steps, step))
    return stages


def _steps(text: str) -> list[Step]:
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for whole in re.sub(r"\\\n\s*", "", "\n".join(lines)).splitlines():
        word, _, rest = whole.strip().partition(" ")
        flags = []
        while match := re.match(r"(--\S+)\s+(.*)", rest.strip()):
            flags.append(match[1])
            rest = match[2]
        found.append(Step(word, tuple(flags), rest.strip()))
    return found


def context(files: Sequence[Path], root: Path, ignore: str) -> list[Path]:
    """Those of the files that a builder is sent: the last line of .dockerignore that covers one decides."""
    rules = [line.strip() for line in ignore.splitlines() if line.strip() and not line.startswith("#")]

    def is_sent(file: Path) -> bool:
        sent = True
        for rule in rules:
            wanted, pattern = rule.startswith("!"), rule.removeprefix("!")
            paths = [file.relative_to(root), *file.relative_to(root).parents]
            # `**/` stands for any folders and for none.
            patterns = {pattern, pattern.removeprefix("**/")}
            if any(fnmatch.fnmatch(str(path), one) for path in paths if path.name for one in patterns):
                sent = wanted
        return sent

    return [file for file in files if is_sent(file)]


class Image:
    """The final stage: its files, and what a container of it would be started with."""

    def __init__(self, root: Path, stage: Stage, environ: Mapping[str, str]) -> None:
        self.root = root
        self.stage = stage
        self._environ = environ

    def command(self, *arguments: str) -> list[str]:
        """The entry point with arguments, or with those of CMD."""
        entry = self.stage.last("ENTRYPOINT").words
        return [self._program(entry[0]), *entry[1:], *(arguments or self.stage.last("CMD").words)]

    def health_check(self) -> list[str]:
        _, _, check = self.stage.last("HEALTHCHECK").rest.partition("CMD ")
        program, *arguments = json.loads(check)
        return [self._program(program), *arguments]

    def environ(self, **more: str) -> dict[str, str]:
        return {name: placed(value, self.root) for name, value in self._environ.items()} | more

    def _program(self, name: str) -> str:
        found = shutil.which(name, path=self.environ()["PATH"])
        assert found, f"{name} is not on the PATH of the image"
        return found


def placed(text: str, root: Path) -> str:
    return PLACES.sub(lambda match: f"{root}/{match[1]}", text)


class Builder:
    """Runs the steps. Every stage has its turn at the same place, so that paths within it hold afterwards."""

    def __init__(
        self,
        folder: Path,
        sources: Path,
        files: Sequence[Path],
        shortcut: Callable[[str, Path], bool] = lambda command, root: False,
    ) -> None:
        self._root = folder / "root"
        self._done = folder / "stages"
        self._sources = sources
        self._files = files
        self._shortcut = shortcut
        self._base = folder / "base"
        self._base.mkdir()
        (self._base / "python").symlink_to(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
        self._done.mkdir()

    def build(self, stages: Sequence[Stage], **arguments: str) -> Image:
        """Build all stages; the last one is the image. Raises AssertionError with what a step said."""
        for number, stage in enumerate(stages[1:], 2):
            self._root.mkdir()
            variables = {"PATH": f"{self._base}:/usr/bin:/bin"}
            workdir = "/"
            for step in stage.steps:
                if step.word == "ARG":
                    name, _, default = step.rest.partition("=")
                    variables[name] = arguments.get(name, default)
                elif step.word == "ENV":
                    variables |= dict(pair.split("=", 1) for pair in step.words)
                elif step.word == "WORKDIR":
                    workdir = step.rest
                    self._path(workdir, "/").mkdir(parents=True, exist_ok=True)
                elif step.word == "COPY":
                    self._copy(step, workdir)
                elif step.word == "RUN":
                    self._run(step.rest, workdir, variables)
            if number < len(stages):
                self._root.rename(self._done / stage.name)
        final = stages[-1]
        told = {name: value for name, value in variables.items() if not name.startswith("USERSD_")}
        return Image(self._root, final, told)

    def _path(self, path: str, workdir: str) -> Path:
        whole = Path(workdir, path)
        assert PLACES.search(str(whole)) or whole == Path("/"), f"{whole} is a folder of the base"
        return self._root / whole.relative_to("/")

    def _copy(self, step: Step, workdir: str) -> None:
        *names, target = step.words
        to = self._path(target, workdir)
        if stage := step.flag("from"):
            for name in names:
                shutil.copytree(self._done / stage / name.lstrip("/"), to, symlinks=True, dirs_exist_ok=True)
            return
        for name in names:
            wanted = self._sources / name
            found = [file for file in self._files if file == wanted or wanted in file.parents]
            assert found, f"COPY {name}: nothing of it is sent to the builder"
            for file in found:
                inside = file.relative_to(wanted) if file != wanted else Path(file.name)
                into = to / inside if file != wanted or target.endswith("/") or len(names) > 1 else to
                into.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(file, into)

    def _run(self, command: str, workdir: str, variables: Mapping[str, str]) -> None:
        whole = placed(command, self._root)
        if self._shortcut(whole, self._root):
            return
        if os.geteuid() != 0:
            # Only root can give files away; whoever runs this is then the owner.
            whole = re.sub(r" -[og] \d+", "", whole)
        kept = {name: value for name, value in os.environ.items() if name.startswith(_BUILDER_OF_THE_MACHINE)}
        # What pip has downloaded before lies below the home folder: the cache mount of the step.
        environ = kept | {"HOME": os.environ.get("HOME", "/")} | dict(variables)
        done = subprocess.run(
            ["/bin/sh", "-ec", whole], cwd=self._path(workdir, "/"), env=environ, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"RUN {command}\n{done.stdout[-4000:]}"
