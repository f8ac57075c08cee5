"""Figures for Prometheus. What is true of all processes of a service is read from the database when it is asked for."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from happyhorse.serve.jobs.records import STATUSES
from happyhorse.serve.service import Service

REGISTRY = CollectorRegistry()
REQUESTS = Histogram(
    "happyhorse_http_request_seconds",
    "Seconds that requests took",
    ["method", "path", "status"],
    registry=REGISTRY,
    buckets=(0.01, 0.05, 0.25, 1, 5, 30),
)
LATEST = 200  # finished jobs that the figures of stages rest on


class Jobs(Collector):
    """Jobs, failures, stage times and workers of a service."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def describe(self) -> list[Metric]:
        """Nothing ahead of time: to register must not need the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        store = self._service.store
        jobs = GaugeMetricFamily("happyhorse_jobs", "Jobs that are kept, by status", labels=["status"])
        for status in STATUSES:
            jobs.add_metric([status], store.count(status=[status]))
        yield jobs
        yield GaugeMetricFamily(
            "happyhorse_queue_seconds",
            "Seconds of work that are foreseen for all jobs that wait",
            store.waiting_seconds(),
        )
        yield GaugeMetricFamily(
            "happyhorse_workers", "Workers that are alive", len(self._service.house.alive())
        )
        failures, stages = {}, {}
        for job in store.page(status=("completed", "failed"), limit=LATEST):
            if job.error:
                failures[job.error["code"]] = failures.get(job.error["code"], 0) + 1
            for stage, seconds in job.facts.get("timings", {}).items():
                stages.setdefault(stage, []).append(seconds)
        failed = GaugeMetricFamily(
            "happyhorse_failures", f"Failures among the last {LATEST} jobs", labels=["reason"]
        )
        for reason, count in failures.items():
            failed.add_metric([reason], count)
        yield failed
        took = GaugeMetricFamily(
            "happyhorse_stage_seconds", f"Mean over the last {LATEST} clips", labels=["stage"]
        )
        for stage, seconds in stages.items():
            took.add_metric([stage], sum(seconds) / len(seconds))
        yield took


def text(service: Service) -> bytes:
    """Everything, in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(Jobs(service))
    return generate_latest(registry) + generate_latest(REGISTRY)
