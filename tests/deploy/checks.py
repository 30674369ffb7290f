"""The chart as Helm renders it, and the alerts as promtool reads them: `make deploy-check`.

Both Helms of tests/deploy/requirements.txt render the chart with several values. What comes out is checked against
Kubernetes' schemas, and against our own rules. No test of `make test`, which needs none of these tools.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from receiver import queue
from receiver.lib import settings
from receiver.lib.settings import Settings
from tests.conftest import ROOT
from tests.deploy import named, tools

SETTINGS = {field.name.upper() for field in fields(Settings)}
# The oldest that Chart.yaml allows and the schemas have, and the newest that they have.
VERSIONS = ("1.25", "1.37")
SECRETS = {"DATABASE_URL": "postgresql://t:p%40@db.example.com/t", "REDIS_URL": "rediss://:p@redis.example.com:6379/0"}
RELEASE = "desk"

# The values of each way to install it.
WAYS: dict[str, dict[str, Any]] = {
    "smallest": {"secret": {"values": SECRETS}},
    "own objects": {
        "secret": {"existingSecret": "my-secret"},
        "secretFiles": {"existingSecret": "my-files"},
        "persistence": {"existingClaim": "my-claim"},
        "serviceAccount": {"create": False},
        "podDisruptionBudget": {"enabled": False},
        "image": {"repository": "registry.example.com/ta", "tag": "9.9.9"},
        "imagePullSecrets": [{"name": "pull"}],
    },
    "everything": {
        "fullnameOverride": "a-name-that-is-longer-than-the-names-of-kubernetes-may-be-with-all-its-parts",
        "settings": {
            "SMTP_HOST": "smtp.example.com",
            "SMTP_PORT": "465",
            "SMTP_USE_TLS": "true",
            "FROM_EMAIL": "t@example.com",
            "RECIPIENT_EMAIL": "a@example.com, b@example.com",
            "FROM_NAME": 'A "desk": of ours',
            "SERVICE_CATALOG_URL": "/etc/ticket-attribution/files/catalog.yaml",
        },
        "secret": {
            "values": {
                **SECRETS,
                "API_TOKEN": "1234567890123456",
                "WEBHOOK_SECRET": "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz",
                "session_key": "0123456789012345678901234567890123456789012",
            }
        },
        "configFiles": {"catalog.yaml": "a: 1\nb: [x]\n"},
        "secretFiles": {"values": {"sources.yaml": "sources: {}\n"}},
        "persistence": {"enabled": False},
        "receiver": {"autoscaling": {"enabled": True}},
        "workers": {"classify": {"autoscaling": {"enabled": True}}, "outgoing": {"replicas": 3}},
        "ingress": {
            "enabled": True,
            "className": "nginx",
            "host": "desk.example.com",
            "path": "/t/",
            "tlsSecret": "tls",
        },
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}}]},
        "podAnnotations": {"a": "b"},
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"operator": "Exists"}],
        "affinity": {"nodeAffinity": {}},
    },
}


class Rendered(list[dict[str, Any]]):
    """The documents that one Helm makes of the chart with the values of one way."""

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Those of this kind."""
        return [document for document in self if document["kind"] == kind]

    def names(self, kind: str) -> set[str]:
        """The names of those of this kind."""
        return {document["metadata"]["name"] for document in self.of(kind)}

    def pods(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The component and the pod's spec of every Deployment and Job."""
        for document in (*self.of("Deployment"), *self.of("Job")):
            template = document["spec"]["template"]
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"]

    def component(self, name: str) -> dict[str, Any]:
        """The Deployment of this component."""
        (found,) = [one for one in self.of("Deployment") if one["metadata"]["name"].endswith(f"-{name}")]
        return found


def helm(name: str, *words: str, values: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run a Helm on the chart with these values."""
    command = [str(tools.HELMS[name]), *words, str(named.CHART), "--values", "-"]
    return subprocess.run(command, input=json.dumps(values), capture_output=True, text=True, check=False)


@cache
def template(name: str, way: str) -> str:
    """What this Helm makes of the chart this way, as YAML."""
    made = helm(name, "template", RELEASE, values=WAYS[way])
    assert made.returncode == 0, made.stderr
    return made.stdout


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rendered(way: str) -> Rendered:
    return documents("helm4", way)


def documents(name: str, way: str) -> Rendered:
    """The same, read."""
    return Rendered(document for document in yaml.safe_load_all(template(name, way)) if document)


def test_both_helms_make_the_same(way: str) -> None:
    made = [sorted(documents(name, way), key=str) for name in tools.HELMS]
    assert made[0] == made[1]


@pytest.mark.parametrize("name", tools.HELMS)
def test_helm_finds_nothing_to_say(name: str, way: str) -> None:
    made = helm(name, "lint", "--strict", "--quiet", values=WAYS[way])
    assert (made.returncode, made.stdout + made.stderr) == (0, ""), made.stdout + made.stderr


def kubernetes_says(path: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What Kubernetes' schemas of VERSIONS say of these documents, which are written to `path` for it."""
    path.write_text(text)
    versions = [word for version in VERSIONS for word in ("--kubernetes-version", version)]
    command = [sys.executable, "-m", "kubernetes_validate", "--strict", *versions, str(path)]
    environ = os.environ | {"PYTHONPATH": str(tools.TOOLS)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def test_kubernetes_knows_every_field(rendered: Rendered, way: str, tmp_path: Path) -> None:
    made = kubernetes_says(tmp_path / "all.yaml", template("helm4", way))
    assert made.returncode == 0, made.stdout + made.stderr
    assert made.stdout.count("passed") == len(rendered) * len(VERSIONS), made.stdout


def test_a_field_that_kubernetes_does_not_know_is_found(tmp_path: Path) -> None:
    text = yaml.safe_dump(documents("helm4", "smallest").component("scheduler"))
    made = kubernetes_says(tmp_path / "one.yaml", text.replace("readOnlyRootFilesystem", "readonlyRootFilesystem"))
    assert made.returncode != 0
    assert "readonlyRootFilesystem" in made.stdout + made.stderr


def test_every_queue_is_served_once_and_one_scheduler_runs(rendered: Rendered) -> None:
    commands = {name: pod["containers"][0]["command"] for name, pod in rendered.pods()}
    written = [line.partition(":")[2] for line in (ROOT / "Procfile").read_text().splitlines()]
    migrate = ["python", "-m", "jobs", "migrate"]
    assert sorted(commands.values()) == sorted([*map(shlex.split, written), migrate])
    served = Counter(words[4] for words in commands.values() if words[3:4] == ["worker"])
    assert served == dict.fromkeys(queue.QUEUES, 1)
    scheduler = rendered.component("scheduler")["spec"]
    assert (scheduler["replicas"], scheduler["strategy"]["type"]) == (1, "Recreate")


def test_every_pod_may_do_as_little_as_possible(rendered: Rendered) -> None:
    seen = 0
    for component, pod in rendered.pods():
        of_pod = pod["securityContext"]
        assert (of_pod["runAsNonRoot"], of_pod["seccompProfile"]) == (True, {"type": "RuntimeDefault"}), component
        assert (pod["automountServiceAccountToken"], pod["enableServiceLinks"]) == (False, False), component
        assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod), component
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume], component
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
            assert {"name": mounts["/tmp"], "emptyDir": {}} in pod["volumes"]  # noqa: S108 - the container's
            assert set(mounts.values()) == {volume["name"] for volume in pod["volumes"]}
            assert set(container["resources"]["requests"]) == {"cpu", "memory"}
            assert "memory" in container["resources"]["limits"]
            assert not container["image"].endswith((":", ":latest"))
            seen += 1
    assert seen == len(queue.QUEUES) + 3
    assert all(account["automountServiceAccountToken"] is False for account in rendered.of("ServiceAccount"))


def test_the_user_is_that_of_the_image() -> None:
    (user,) = {pod["securityContext"]["runAsUser"] for _, pod in documents("helm4", "smallest").pods()}
    assert f"--uid {user} app" in (ROOT / "Dockerfile").read_text()


def test_probes_and_the_service_lead_to_real_routes(rendered: Rendered, app: Flask) -> None:
    routes = {rule.rule for rule in app.url_map.iter_rules() if "GET" in (rule.methods or ())}
    (container,) = rendered.component("receiver")["spec"]["template"]["spec"]["containers"]
    (port,) = container["ports"]
    assert str(port["containerPort"]) == next(one["value"] for one in container["env"] if one["name"] == "PORT")
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {name: (probe["path"], probe["port"]) for name, probe in asked.items()} == {
        "startupProbe": ("/healthz", "http"),
        "livenessProbe": ("/healthz", "http"),
        "readinessProbe": ("/readyz", "http"),
    }
    assert {probe["path"] for probe in asked.values()} <= routes
    assert [one["targetPort"] for one in rendered.of("Service")[0]["spec"]["ports"]] == [port["name"]]
    # Nobody may be asked whether a worker lives; the alarms tell it.
    workers = [pod["containers"][0] for name, pod in rendered.pods() if name != "receiver"]
    assert not [worker for worker in workers if any(key.endswith("Probe") for key in worker)]


def test_the_service_has_time_to_forget_a_pod_that_ends(rendered: Rendered) -> None:
    pod = rendered.component("receiver")["spec"]["template"]["spec"]
    (_, seconds) = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
    text = (ROOT / "receiver/web/gunicorn_conf.py").read_text()
    (graceful,) = [line.partition("=")[2] for line in text.splitlines() if line.startswith("graceful_timeout")]
    assert pod["terminationGracePeriodSeconds"] > int(seconds) + int(graceful)


def test_what_the_container_gets_are_settings_that_go_together(rendered: Rendered, way: str) -> None:
    maps = {one["metadata"]["name"]: one["data"] for one in rendered.of("ConfigMap")}
    secrets = {one["metadata"]["name"]: one["stringData"] for one in rendered.of("Secret")}
    for component, pod in rendered.pods():
        (container,) = pod["containers"]
        environ: dict[str, str] = {}
        for source in container.get("envFrom", ()):
            environ |= maps[source["configMapRef"]["name"]] if "configMapRef" in source else {}
            environ |= secrets.get(source["secretRef"]["name"], SECRETS) if "secretRef" in source else {}
        for one in container["env"]:
            reference = one.get("valueFrom", {}).get("secretKeyRef")
            environ[one["name"]] = (
                secrets.get(reference["name"], SECRETS)[reference["key"]] if reference else one["value"]
            )
        environ.pop("session_key", None)  # A file.
        assert set(environ) <= SETTINGS, component
        found = settings.load(environ)
        assert (str(found.data_dir), found.port, found.host) == ("/data", 8000, "0.0.0.0")
        assert found.database_url.startswith("postgresql"), component
        if component != "migrate":
            assert found.redis_url == SECRETS["REDIS_URL"]
            assert "/data" in {mount["mountPath"] for mount in container["volumeMounts"]}
            if way == "everything":
                assert found.public_url == "https://desk.example.com/t"
                assert (found.smtp_port, found.from_name) == (465, 'A "desk": of ours')


def test_every_object_that_is_named_is_there(rendered: Rendered, way: str) -> None:
    own = {"my-secret", "my-files", "my-claim", "default", "pull"} if way != "smallest" else set()
    for component, pod in rendered.pods():
        if component == "migrate":
            continue
        (container,) = pod["containers"]
        assert pod["serviceAccountName"] in rendered.names("ServiceAccount") | own
        for source in container["envFrom"]:
            if "configMapRef" in source:
                assert source["configMapRef"]["name"] in rendered.names("ConfigMap")
            else:
                assert source["secretRef"]["name"] in rendered.names("Secret") | own
        for volume in pod["volumes"]:
            if "secret" in volume:
                assert volume["secret"]["secretName"] in rendered.names("Secret") | own
            elif "configMap" in volume:
                assert volume["configMap"]["name"] in rendered.names("ConfigMap")
            elif "persistentVolumeClaim" in volume:
                assert volume["persistentVolumeClaim"]["claimName"] in rendered.names("PersistentVolumeClaim") | own
    labels = [one["spec"]["template"]["metadata"]["labels"].items() for one in rendered.of("Deployment")]
    chosen = [one["spec"]["selector"] for one in rendered.of("Service")]
    chosen += [one["spec"]["selector"]["matchLabels"] for one in rendered.of("PodDisruptionBudget")]
    assert all(sum(selector.items() <= has for has in labels) == 1 for selector in chosen)
    for policy in rendered.of("NetworkPolicy"):
        assert any(policy["spec"]["podSelector"]["matchLabels"].items() <= has for has in labels)
    for one in rendered.of("Deployment"):
        selector = one["spec"]["selector"]["matchLabels"].items()
        assert sum(selector <= has for has in labels) == 1
    assert all(len(one["metadata"]["name"]) <= 63 for one in rendered)
    assert len({(one["kind"], one["metadata"]["name"]) for one in rendered}) == len(rendered)


def test_the_migration_needs_nothing_that_comes_after_it(rendered: Rendered, way: str) -> None:
    hook, weight = "helm.sh/hook", "helm.sh/hook-weight"
    hooks = {one["kind"]: one for one in rendered if hook in one["metadata"].get("annotations", {})}
    assert set(hooks) == ({"Job"} if way == "own objects" else {"Job", "Secret"})
    assert {one["metadata"]["annotations"][hook] for one in hooks.values()} == {"pre-install,pre-upgrade"}
    job = hooks["Job"]
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert not {"serviceAccountName", "envFrom"} & {*pod, *container}
    assert [volume for volume in pod["volumes"] if "emptyDir" not in volume] == []
    names = {one["valueFrom"]["secretKeyRef"]["name"] for one in container["env"] if "valueFrom" in one}
    if "Secret" in hooks:
        assert names == {hooks["Secret"]["metadata"]["name"]}
        first, second = (int(hooks[kind]["metadata"]["annotations"][weight]) for kind in ("Secret", "Job"))
        assert first < second
    else:
        assert names == {"my-secret"}


def test_what_scales_by_itself_has_no_fixed_number(rendered: Rendered, way: str) -> None:
    targets = {one["spec"]["scaleTargetRef"]["name"]: one["spec"] for one in rendered.of("HorizontalPodAutoscaler")}
    assert len(targets) == (2 if way == "everything" else 0)
    for one in rendered.of("Deployment"):
        name = one["metadata"]["name"]
        assert ("replicas" in one["spec"]) is (name not in targets)
    assert set(targets) <= rendered.names("Deployment")
    kinds = {name.rpartition("-")[2]: spec["metrics"][0]["type"] for name, spec in targets.items()}
    assert kinds == ({"receiver": "Resource", "classify": "External"} if targets else {})


def test_other_settings_start_the_pods_anew() -> None:
    changed = WAYS["smallest"] | {"settings": {"LOG_LEVEL": "DEBUG"}}
    texts = [template("helm4", "smallest"), helm("helm4", "template", RELEASE, values=changed).stdout]
    sums = [{line for line in text.splitlines() if "checksum/config" in line} for text in texts]
    assert [len(found) for found in sums] == [1, 1]
    assert sums[0] != sums[1]


def test_stopped_no_pod_runs_and_nothing_starts_one() -> None:
    made = helm("helm4", "template", RELEASE, values=WAYS["everything"] | {"stopped": True}).stdout
    stopped = Rendered(document for document in yaml.safe_load_all(made) if document)
    assert {one["spec"]["replicas"] for one in stopped.of("Deployment")} == {0}
    assert stopped.names("Deployment") == documents("helm4", "everything").names("Deployment")
    assert stopped.of("HorizontalPodAutoscaler") == []


@pytest.mark.parametrize("name", tools.HELMS)
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"secret": {"values": {}}}, "DATABASE_URL is required"),
        ({"secret": {"values": {"DATABASE_URL": SECRETS["DATABASE_URL"]}}}, "REDIS_URL is required"),
        ({"secret": {"values": SECRETS | {"DATABASE_URL": "sqlite:////data/x.db"}}}, "DATABASE_URL"),
        ({"persistence": {"enabled": False}}, "is required without persistence"),
        ({"persistence": {"accessModes": ["ReadWriteOncePod"]}}, "accessModes"),
        ({"settings": {"SMTP_PASSWORD": "x"}}, "SMTP_PASSWORD"),
        ({"settings": {"DATA_DIR": "/else"}}, "DATA_DIR"),
        ({"settings": {"SMTP_PORT": 25}}, "SMTP_PORT"),
        ({"workers": {"digest": None}}, "digest"),
        ({"workers": {"clasify": {"replicas": 1}}}, "clasify"),
        ({"reciever": {"replicas": 3}}, "reciever"),
        ({"workers": {"classify": {"autoscaling": {"enabled": True, "metric": "rq_jobs"}}}}, "metric"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, wrong: dict[str, Any], told: str) -> None:
    made = helm(name, "template", RELEASE, values=WAYS["smallest"] | wrong)
    assert made.returncode != 0
    assert told in made.stderr


def promtool(*words: str | Path) -> str:
    """What promtool says; it must succeed."""
    program = shutil.which("promtool")
    assert program, "promtool is missing; on Debian: apt-get install prometheus"
    made = subprocess.run([program, *map(str, words)], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    return made.stdout


def test_prometheus_takes_the_alerts_and_they_tell_what_they_shall() -> None:
    assert f"{len(named.rules())} rules found" in promtool("check", "rules", named.ALERTS)
    promtool("check", "config", "--syntax-only", named.PROMETHEUS)
    promtool("test", "rules", named.ALERTS_TEST)


def test_every_alert_is_tested_and_says_what_to_do() -> None:
    tested = named.ALERTS_TEST.read_text()
    for rule in named.rules():
        assert rule["alert"] in tested
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert set(rule["annotations"]) == {"summary", "action"}
        # Every receiver gives the same figures: a sum of them would be wrong.
        assert "sum" not in rule["expr"]
        assert rule["expr"].startswith("absent(") or "by (job, namespace" in rule["expr"]


def test_prometheus_takes_every_expression_of_the_board(tmp_path: Path) -> None:
    expressions = named.board_expressions()
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(expressions)]
    path = tmp_path / "board.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", path)
    assert not [expression for expression in expressions if "sum" in expression or "$" in expression]


def test_every_panel_of_the_board_has_its_place_and_the_chosen_datasource() -> None:
    panels = named.panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
