"""What is installed: the five packages, nothing else of ours, and nobody else's under their names."""

from __future__ import annotations

import tomllib
from importlib.metadata import distributions, packages_distributions

from tests.architecture.sources import PACKAGES, ROOT


def test_the_wheel_holds_the_five_packages_and_no_tests() -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = configured["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == sorted(PACKAGES)
    assert not {"include", "force-include", "artifacts"} & wheel.keys()


def test_no_other_distribution_provides_a_package_of_our_name() -> None:
    providers = packages_distributions()
    taken = {name: providers.get(name, []) for name in PACKAGES}
    others = {name: set(found) - {"usersd"} for name, found in taken.items()}
    assert not {name: found for name, found in others.items() if found}


def test_no_other_distribution_brings_a_file_that_ours_would_hide() -> None:
    clashes = {
        f"{distribution.name}: {file}"
        for distribution in distributions()
        if distribution.name != "usersd"
        for file in distribution.files or ()
        if file.parts[0].removesuffix(".py") in PACKAGES
    }
    assert not clashes


def test_every_package_of_ours_is_meant_to_be_installed() -> None:
    found = {path.parent.name for path in ROOT.glob("*/__init__.py")}
    assert found - {"tests", "bench"} == set(PACKAGES)
