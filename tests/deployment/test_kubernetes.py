"""The manifests of Kubernetes: valid by its own schemas, whole in what they refer to, and confined."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from infrastructure.roles import OPERATIONS_PORTS, Role
from infrastructure.settings import load
from tests.architecture.sources import ROOT
from tests.deployment.kustomize import Resource, containers, name, pod, rendered
from tests.support.certificates import Authority

KUBERNETES = ROOT / "deploy" / "kubernetes"
VERSION = "1.37"
OLDEST = "1.29"
OPERATORS_KINDS = {"ServiceMonitor", "PrometheusRule"}
ROLES = [role.value for role in Role if role is not Role.RUN]
MOUNTED = re.compile(r"/run/secrets/(?P<secret>[a-z-]+)/(?P<file>[a-z_.]+)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifests, with an overlay that has secrets, and one with all that the example proposes."""
    copied = tmp_path_factory.mktemp("kubernetes") / "kubernetes"
    shutil.copytree(KUBERNETES, copied, ignore=shutil.ignore_patterns("secrets"))
    example = copied / "overlays" / "example"
    make = ROOT / "deploy" / "make-secrets"
    url = b"nats://ours:secret@nats.platform.svc:4222"
    subprocess.run([make, "--set", "es_url", example / "secrets"], check=True, capture_output=True, input=url)
    subprocess.run([make, example / "secrets"], check=True, capture_output=True)
    shutil.copy(Authority(tmp_path_factory.mktemp("authority")).file, example / "secrets" / "db_ca.pem")
    everything = copied / "overlays" / "everything"
    shutil.copytree(example, everything)
    text = (everything / "kustomization.yaml").read_text().replace(": []\n", ":\n")
    (everything / "kustomization.yaml").write_text(re.sub("^  # ", "  ", text, flags=re.MULTILINE))
    return copied


@pytest.fixture(scope="module", params=["example", "everything"])
def resources(request: pytest.FixtureRequest, folder: Path) -> list[Resource]:
    return rendered(folder / "overlays" / str(request.param))


@pytest.mark.parametrize("version", [OLDEST, VERSION])
def test_each_resource_is_valid_by_the_schemas_of_kubernetes(resources: list[Resource], version: str) -> None:
    for resource in resources:
        if resource["kind"] not in OPERATORS_KINDS:
            kubernetes_validate.validate(resource, version, strict=True)


def test_every_component_is_one_of_the_example(folder: Path) -> None:
    text = (KUBERNETES / "overlays" / "example" / "kustomization.yaml").read_text()
    assert all(f"../../components/{path.name}" in text for path in (KUBERNETES / "components").iterdir())


def test_each_role_is_a_deployment_that_shows_its_port(resources: list[Resource]) -> None:
    found = {name(one): one for one in _of(resources, "Deployment")}
    assert set(found) == {f"usersd-{role}" for role in ROLES}
    for role in ROLES:
        (container,) = containers(found[f"usersd-{role}"])
        port = OPERATIONS_PORTS.get(Role(role), 9002)
        assert container["args"] == [role]
        assert container["ports"][0]["containerPort"] == port
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["port"] == container["ports"][0]["name"]
        assert container["livenessProbe"]["httpGet"]["path"] == "/livez"
        assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (migrate,) = _of(resources, "Job")
    assert [container["args"] for container in containers(migrate)] == [["migrate"]]


def test_each_role_starts_with_the_settings_that_it_is_given(resources: list[Resource], folder: Path) -> None:
    secrets = folder / "overlays" / "example" / "secrets"
    for workload in _workloads(resources):
        (container,) = containers(workload)
        environ = _environ(resources, container)
        for variable, value in environ.items():
            if found := MOUNTED.fullmatch(value):
                file = "root_key" if found["secret"] == "grpc" else found["file"]
                environ[variable] = str(secrets / file)
        loaded = load(environ, role=container["args"][0])
        assert not loaded.warnings, name(workload)
        # Whoever is stopped has time to leave the service's list, and to finish.
        if "terminationGracePeriodSeconds" in _spec(workload):
            grace = _spec(workload)["terminationGracePeriodSeconds"]
            assert loaded.settings.shutdown_delay is not None
            leaving = loaded.settings.shutdown_delay + loaded.settings.shutdown_timeout
            assert grace >= leaving.total_seconds() + 10


def test_what_a_pod_refers_to_is_there(resources: list[Resource]) -> None:
    there = {(one["kind"], name(one)) for one in resources}
    there.add(("Secret", "usersd-grpc-tls"))  # made by whoever issues certificates
    for workload in _workloads(resources):
        spec = _spec(workload)
        wanted = {("ServiceAccount", spec["serviceAccountName"])}
        for volume in spec["volumes"]:
            if "secret" in volume:
                wanted.add(("Secret", volume["secret"]["secretName"]))
            if "persistentVolumeClaim" in volume:
                wanted.add(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
        for container in containers(workload):
            wanted |= {("ConfigMap", source["configMapRef"]["name"]) for source in container["envFrom"]}
            mounted = {mount["name"] for mount in container["volumeMounts"]}
            assert mounted == {volume["name"] for volume in spec["volumes"]}
        assert wanted <= there, name(workload)


def test_each_secret_that_a_setting_names_is_a_file_of_the_secret(resources: list[Resource]) -> None:
    files = {name(secret): secret["data"].keys() for secret in _of(resources, "Secret")}
    for workload in _workloads(resources):
        (container,) = containers(workload)
        volumes = {one["name"]: one["secret"] for one in _spec(workload)["volumes"] if "secret" in one}
        mounted = {
            mount["mountPath"]: volumes[mount["name"]]["secretName"]
            for mount in container["volumeMounts"]
            if mount["name"] in volumes
        }
        for value in _environ(resources, container).values():
            if MOUNTED.fullmatch(value) and mounted[str(Path(value).parent)] in files:
                assert Path(value).name in files[mounted[str(Path(value).parent)]]


def test_the_api_alone_is_shown_the_password_of_the_first_admin(resources: list[Resource]) -> None:
    shown = {
        name(workload)
        for workload in _workloads(resources)
        for volume in _spec(workload)["volumes"]
        if volume.get("secret", {}).get("secretName") == "usersd-admin"
    }
    assert shown == {"usersd-api"}
    holders = {name(one) for one in _of(resources, "Secret") if "admin_password" in one["data"]}
    assert holders == {"usersd-admin"}


def test_every_role_is_scraped_as_the_job_that_the_rules_ask_for(resources: list[Resource]) -> None:
    (monitor,) = yaml.safe_load_all(
        (KUBERNETES / "components" / "service-monitor" / "service-monitor.yaml").read_text()
    )
    services = [one["metadata"]["labels"] for one in _of(resources, "Service")]
    asked = set(re.findall(r'job="([^"]*)"', (ROOT / "deploy" / "prometheus" / "alerts.yml").read_text()))
    assert {labels[monitor["spec"]["jobLabel"]] for labels in services} == asked == {"usersd"}
    assert all(monitor["spec"]["selector"]["matchLabels"].items() <= labels.items() for labels in services)


def test_callers_are_counted_and_the_database_is_checked(folder: Path) -> None:
    settings = {
        overlay: _of(rendered(folder / overlay), "ConfigMap")[0]["data"]
        for overlay in ("base", "overlays/example")
    }
    # Without a proxy nobody's headers are believed; with one those of its network are.
    assert settings["base"]["MG_USERS_TRUSTED_PROXIES"] == "127.0.0.1"
    assert "/" in settings["overlays/example"]["MG_USERS_TRUSTED_PROXIES"]
    assert settings["overlays/example"]["MG_USERS_DB_SSL_MODE"] == "verify-full"


def test_what_may_be_asked_beside_it_can_be_reached_where_the_example_says_so(folder: Path) -> None:
    ports = {
        overlay: {
            port["port"]
            for policy in _of(rendered(folder / "overlays" / overlay), "NetworkPolicy")
            for rule in policy["spec"].get("egress", ())
            for port in rule["ports"]
        }
        for overlay in ("example", "everything")
    }
    assert ports["everything"] - ports["example"] == {443, 6432, 7001, 7003, 50051}


def test_services_budgets_and_policies_select_pods_that_there_are(resources: list[Resource]) -> None:
    pods = [(pod(one) or {})["metadata"]["labels"].items() for one in _workloads(resources)]
    selectors = [one["spec"]["selector"] for one in _of(resources, "Service")]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in _of(resources, "PodDisruptionBudget")]
    selectors += [one["spec"]["podSelector"]["matchLabels"] for one in _of(resources, "NetworkPolicy")]
    assert all(any(selector.items() <= labels for labels in pods) for selector in selectors)
    budgets = _of(resources, "PodDisruptionBudget")
    assert {name(one) for one in budgets} == {name(one) for one in _of(resources, "Deployment")}
    (scaled,) = _of(resources, "HorizontalPodAutoscaler")
    assert scaled["spec"]["scaleTargetRef"]["name"] == "usersd-api"


def test_the_autoscaler_is_not_overruled_by_the_manifest(resources: list[Resource]) -> None:
    (api,) = [one for one in _of(resources, "Deployment") if name(one) == "usersd-api"]
    assert "replicas" not in api["spec"]


def test_ports_of_services_and_policies_are_those_of_pods(resources: list[Resource]) -> None:
    for service in _of(resources, "Service"):
        selected = [
            container
            for workload in _of(resources, "Deployment")
            if service["spec"]["selector"].items() <= (pod(workload) or {})["metadata"]["labels"].items()
            for container in containers(workload)
        ]
        assert selected, name(service)
        named = {port["name"]: port["containerPort"] for one in selected for port in one.get("ports", ())}
        for port in service["spec"]["ports"]:
            assert port["port"] == named[port["targetPort"]]


def test_nobody_is_root_may_write_or_gains_a_privilege(resources: list[Resource]) -> None:
    for workload in _workloads(resources):
        spec = _spec(workload)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 10001
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert not [volume for volume in spec["volumes"] if "hostPath" in volume]
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert "memory" in container["resources"]["limits"]
            _, _, tag = container["image"].partition(":")
            assert tag not in ("", "latest")


def test_the_sweeper_writes_the_records_and_the_api_may_only_look(resources: list[Resource]) -> None:
    writers = {
        name(workload): not mount.get("readOnly", False)
        for workload in _workloads(resources)
        for container in containers(workload)
        for mount in container["volumeMounts"]
        if mount["name"] == "records"
    }
    assert writers == {"usersd-api": False, "usersd-sweeper": True}


@pytest.mark.system
@pytest.mark.parametrize("overlay", ["example", "everything"])
def test_kustomize_itself_renders_the_same(folder: Path, overlay: str) -> None:
    built = subprocess.run(
        ["kubectl", "kustomize", folder / "overlays" / overlay], check=True, capture_output=True, text=True
    )
    theirs = {_identity(one): one for one in yaml.safe_load_all(built.stdout)}
    ours = {_identity(one): one for one in rendered(folder / "overlays" / overlay)}
    assert theirs.keys() == ours.keys()
    for identity, resource in theirs.items():
        assert _without_hashes(resource) == _without_hashes(ours[identity]), identity


def _identity(resource: Resource) -> tuple[str, str]:
    return resource["kind"], _unhashed(name(resource))


def _unhashed(text: str) -> str:
    for generated in ("usersd-settings", "usersd-secrets", "usersd-admin"):
        if text.startswith(f"{generated}-"):
            return generated
    return text


def _without_hashes(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_hashes(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_without_hashes(one) for one in value]
    # kustomize breaks long base64 into lines.
    return _unhashed(value).replace("\n", "") if isinstance(value, str) else value


def _of(resources: list[Resource], kind: str) -> list[Resource]:
    return [resource for resource in resources if resource["kind"] == kind]


def _workloads(resources: list[Resource]) -> list[Resource]:
    return [*_of(resources, "Deployment"), *_of(resources, "Job")]


def _spec(workload: Resource) -> Resource:
    found: Resource = (pod(workload) or {})["spec"]
    return found


def _environ(resources: list[Resource], container: Resource) -> dict[str, str]:
    maps = {name(one): one["data"] for one in _of(resources, "ConfigMap")}
    found = dict(_pairs(maps, container))
    return found | {one["name"]: one["value"] for one in container.get("env", ())}


def _pairs(maps: dict[str, dict[str, str]], container: Resource) -> Iterator[tuple[str, str]]:
    for source in container["envFrom"]:
        yield from maps[source["configMapRef"]["name"]].items()
