"""The OpenAPI document against the app: generated requests, good and bad, get documented answers and no 5xx."""

import contextlib

import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.slow
EXAMPLES = 25  # good requests, and as many bad ones, for each operation
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "response_schema_conformance",
    "content_type_conformance",
    "response_headers_conformance",
)


def test_generated_requests_get_documented_answers(app, done):
    schemathesis = pytest.importorskip("schemathesis")
    schemathesis.checks.load_all_checks()
    checks = [schemathesis.checks.CHECKS.get_one(name) for name in CHECKS]
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    seen: dict[str, set[int]] = {}
    for operation in operations:
        video = done()["id"]  # random ids alone would lead to nothing but 404
        real = {"video_id": video, "task": video.removeprefix("video_")}
        if operation.path.startswith("/api/v3"):
            real["task"] = f"cgt-{real['task']}"
        for mode in schemathesis.GenerationMode:
            with nothing_to_get_wrong(mode is not schemathesis.GenerationMode.POSITIVE):
                answers = follow(operation, mode, real, checks)
                seen.setdefault(f"{operation.method} {operation.path}", set()).update(answers)
    for label in sorted(seen):
        print(label, sorted(seen[label]))
    answered = [label for label, statuses in seen.items() if min(statuses) < 300]
    refused = [label for label, statuses in seen.items() if max(statuses) >= 400]
    assert len(answered) > 15 and len(refused) > 15


def nothing_to_get_wrong(possible: bool):
    """An operation without parameters and body has no bad requests; each has good ones."""
    return contextlib.suppress(hypothesis.errors.Unsatisfiable) if possible else contextlib.nullcontext()


def follow(operation, mode, real, checks) -> set[int]:
    """Send generated requests of one mode, half of them with the ids of `real`; returns the statuses."""
    seen = set()

    @given(case=operation.as_strategy(generation_mode=mode), known=st.booleans())
    @settings(
        max_examples=EXAMPLES,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    def send(case, known):
        for name in case.path_parameters:
            if known and name in real:
                case.path_parameters[name] = real[name]
        seen.add(case.call_and_validate(checks=checks).status_code)

    send()
    return seen
