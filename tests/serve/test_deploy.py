"""What is in deploy/ is valid by the schemas of Kubernetes and Compose, and agrees with the program and with itself."""

import json
import re
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from happyhorse.cli import app as cli
from happyhorse.serve.settings import Settings, variable

yaml = pytest.importorskip("yaml")
DEPLOY = Path(__file__).parent.parent.parent / "deploy"
MANIFESTS = ("server.yaml", "worker.yaml")
KUBERNETES = "1.31"  # the oldest version that they are checked for
VARIABLES = {variable(field.name) for field in fields(Settings)}
SETTINGS = Settings(data=Path("/data"))


def read(*names: str) -> list[dict[str, Any]]:
    """All documents of files in deploy/."""
    texts = [(DEPLOY / name).read_text("utf-8") for name in names]
    return [document for text in texts for document in yaml.safe_load_all(text)]


def manifests() -> list[dict[str, Any]]:
    return read(*(f"kubernetes/{name}" for name in MANIFESTS))


def compose() -> dict[str, Any]:
    return read("compose.yaml")[0]


def container(deployment: dict[str, Any]) -> dict[str, Any]:
    return deployment["spec"]["template"]["spec"]["containers"][0]


def test_manifests_are_valid():
    validator = pytest.importorskip(
        "kubernetes_validate", reason="pip install 'happyhorse[clients]' for the schemas of Kubernetes"
    )
    for document in manifests():
        validator.validate(document, KUBERNETES, strict=True)
    wrong = manifests()[1]
    wrong["spec"]["replica"] = 2
    with pytest.raises(validator.ValidationError):
        validator.validate(wrong, KUBERNETES, strict=True)


def test_the_compose_file_is_valid():
    reason = "pip install 'happyhorse[clients]' for the schema of Compose"
    pytest.importorskip("check_jsonschema", reason=reason)
    import jsonschema

    found = files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(found.read_text("utf-8"))
    jsonschema.validate(compose(), schema)
    wrong = compose()
    wrong["services"]["server"]["port"] = ["8000"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, schema)


def test_every_file_is_looked_at():
    found = {str(path.relative_to(DEPLOY)) for path in DEPLOY.rglob("*") if path.is_file()}
    found -= {"kubernetes/happyhorse.env"}  # a person's own
    known = {"Dockerfile", "Dockerfile.dockerignore", "compose.yaml", "kubernetes/happyhorse.env.example"}
    assert found == known | {f"kubernetes/{name}" for name in ("kustomization.yaml", *MANIFESTS)}
    (kustomization,) = read("kubernetes/kustomization.yaml")
    assert kustomization["resources"] == list(MANIFESTS)
    assert kustomization["secretGenerator"][0]["envs"] == ["happyhorse.env"]


def test_every_variable_is_a_setting():
    for path in DEPLOY.rglob("*"):
        if path.is_file():
            named = set(re.findall(r"HAPPYHORSE_\w+", path.read_text("utf-8")))
            assert named <= VARIABLES, (path, named - VARIABLES)


def test_every_command_is_one():
    verbs = get_command(cli).commands  # type: ignore[attr-defined]
    services = compose()["services"]
    commands = [service["command"] for service in services.values() if "command" in service]
    commands += [container(document)["args"] for document in manifests() if document["kind"] == "Deployment"]
    commands.append(json.loads(re.findall(r"^CMD (.*)$", dockerfile(), re.M)[0]))
    assert len(commands) == 5
    for verb, *options in commands:
        known = {name for parameter in verbs[verb].params for name in parameter.opts}
        assert set(options) <= known, (verb, options)


def test_manifests_agree_with_each_other():
    service, *deployments = manifests()
    labels = [document["spec"]["template"]["metadata"]["labels"] for document in deployments]
    for document, given in zip(deployments, labels, strict=True):
        assert document["spec"]["selector"]["matchLabels"] == given
        assert document["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
        inside = container(document)
        assert inside["envFrom"] == [{"secretRef": {"name": "happyhorse"}}]
        volumes = {volume["name"] for volume in document["spec"]["template"]["spec"]["volumes"]}
        assert {mount["name"] for mount in inside["volumeMounts"]} == volumes
    assert [given for given in labels if service["spec"]["selector"].items() <= given.items()] == labels[:1]
    server, worker = deployments
    assert container(server)["ports"] == [{"name": "http", "containerPort": SETTINGS.port}]
    assert service["spec"]["ports"][0]["targetPort"] == "http"
    assert worker["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > SETTINGS.drain + 10
    none = {"name": "HAPPYHORSE_WORKERS", "value": "0"}
    assert container(server)["env"] == [none]


def test_probes_ask_what_the_server_answers():
    from happyhorse.serve.http.operations import router

    paths = {route.path for route in router.routes}  # type: ignore[attr-defined]
    server = container(manifests()[1])
    probes = [server[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")]
    assert [probe["path"] for probe in probes] == ["/healthz", "/healthz", "/readyz"]
    assert {probe["path"] for probe in probes} <= paths and {probe["port"] for probe in probes} == {"http"}
    health = compose()["services"]["server"]["healthcheck"]["test"][-1]
    assert f":{SETTINGS.port}/readyz" in health and compile(health, "health", "exec")


def test_only_this_machine_comes_in_without_a_key():
    server = compose()["services"]["server"]
    assert "--anyone" in server["command"] and server["ports"] == [f"127.0.0.1:{SETTINGS.port}:8000"]
    assert "--anyone" not in dockerfile() + (DEPLOY / "kubernetes" / "server.yaml").read_text("utf-8")


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text("utf-8")


def test_the_image_is_built_from_what_is_there_and_runs_as_nobody():
    text = re.sub(r"\\\n", " ", dockerfile())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    known = "ARG FROM RUN ENV WORKDIR COPY USER VOLUME EXPOSE ENTRYPOINT CMD"
    assert {word for word, _ in lines} <= set(known.split())
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    copied = [rest for word, rest in lines if word == "COPY" and not rest.startswith("--from")]
    for rest in copied:
        for source in rest.split()[:-1]:
            assert (DEPLOY.parent / source).exists() and f"!{source}" in ignored, source
    uids = [rest for word, rest in lines if word == "USER"]
    assert uids == ["10001"] and f"--uid {uids[0]}" in text
    last = [word for word, _ in lines]
    assert last.index("USER") < last.index("ENTRYPOINT") and json.loads(lines[-2][1]) == ["happyhorse"]
    extras = re.findall(r"EXTRAS=(\S+)", text)
    import tomllib

    project = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text("utf-8"))["project"]
    offered = set(project["optional-dependencies"])
    assert all(set(extra.split(",")) <= offered for extra in extras) and len(extras) == 2
    bounds = next(name for name in project["dependencies"] if name.startswith("torch"))
    assert f'"{bounds}"' in text
