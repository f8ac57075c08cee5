"""The OpenAPI document against the app: generated requests, good and bad, get documented answers and no 5xx."""

import pytest

pytestmark = pytest.mark.slow
EXAMPLES = 12  # requests for each operation


def test_generated_requests_get_documented_answers(client, app):
    schemathesis = pytest.importorskip("schemathesis")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import CHECKS
    from schemathesis.config import SchemathesisConfig

    schemathesis.checks.load_all_checks() if hasattr(schemathesis.checks, "load_all_checks") else None
    app.state.service.store.settings = app.state.service.settings
    schema = schemathesis.openapi.from_asgi("/openapi.json", app, config=SchemathesisConfig())
    wanted = (
        "not_a_server_error",
        "status_code_conformance",
        "response_schema_conformance",
        "content_type_conformance",
    )
    checks = [CHECKS.get_one(name) for name in wanted]
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        if operation.path == "/v1/videos/{video_id}/events":
            continue  # a stream of a job that nobody works on does not end

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            phases=[Phase.generate],
        )
        def follow(case):
            case.call_and_validate(checks=checks)

        follow()
