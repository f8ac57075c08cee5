"""The durable queue: DBOS, behind the few things that are asked of it. No other module knows what it is made of.

A job is a workflow whose id is that of the job, and its stages are steps: what a step returned is written down, so
that whoever goes on with the job skips it. Who runs a workflow holds a token; a worker that was believed dead finds at
its next step that the token is another's, and stops. DBOS gives a dead worker's workflows to nobody, so that is done
here (`orphans`, `again`; called by `house`).

Between the jobs of different keys workers choose at random, which gives every key its share; within one key the
priority decides, then the age.
"""

import logging
from collections.abc import Callable, Collection
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, DBOSPortableJSONSerializer

from happyhorse.serve.jobs.records import Job
from happyhorse.serve.settings import Settings

QUEUE, WORKFLOW, APPLICATION = "clips", "clip", "happyhorse"
VERSION = "1"  # of the steps of a clip: workers take jobs of their own version only
POLL = 0.25  # seconds between two looks at the queue
HIGHEST = 9  # of priorities, the lowest is 0
Step = Callable[[str, Callable[[], Any]], Any]
"""Runs a function once for a job and writes down what it returns (plain values), under a name."""

logging.getLogger("dbos").setLevel(logging.WARNING)


class Queue:
    """The side that gives jobs out. `prepare` makes its tables, once for each start of a process."""

    def __init__(self, engine: sa.Engine, settings: Settings) -> None:
        self._engine, self._settings = engine, settings
        self._client = DBOSClient(
            system_database_engine=engine,
            serializer=DBOSPortableJSONSerializer(),  # not the default, which is pickle
            application_name=APPLICATION,
            retry_connection_errors=False,
            lazy=True,
        )

    def prepare(self) -> None:
        """Make the tables where they are missing, and set how many jobs of one key may run at once."""
        DBOS.migrate(self._settings.database_url)
        self._client.register_queue(
            QUEUE,
            worker_concurrency=1,
            partition_concurrency=self._settings.per_key,
            polling_interval_sec=POLL,
        )

    def put(self, connection: sa.Connection, job: Job) -> None:
        """Enqueue a job, in a transaction of the caller."""
        self._client.enqueue_in_transaction(
            connection,
            {
                "workflow_name": WORKFLOW,
                "queue_name": QUEUE,
                "workflow_id": job.id,
                "app_version": VERSION,
                "priority": HIGHEST + 1 - job.priority,
                "queue_partition_key": job.owner,
            },
            job.id,
        )

    def orphans(self, alive: Collection[str]) -> list[str]:
        """Jobs that are with a worker which is not among those alive."""
        return [status.workflow_id for status in self._begun() if status.executor_id not in alive]

    def held(self, worker: str) -> list[str]:
        """Jobs that are with a worker."""
        return [status.workflow_id for status in self._begun() if status.executor_id == worker]

    def _begun(self) -> list[Any]:
        return self._client.list_workflows(
            status="PENDING", queue_name=QUEUE, load_input=False, load_output=False
        )

    def again(self, job: str) -> None:
        """Put a job that was begun back in the queue; the steps that are written down stay so."""
        self._client.resume_workflow(job, queue_name=QUEUE)

    def cancel(self, job: str) -> None:
        """Take a job out of the queue, or stop it at its next step."""
        self._client.cancel_workflow(job)

    def forget(self, job: str) -> None:
        """Delete what is written down about a job."""
        self._client.delete_workflow(job)

    def close(self) -> None:
        """Let go of what the client holds."""
        self._client.destroy()


def listen(
    engine: sa.Engine, settings: Settings, worker: str, make: Callable[[str, Step], str]
) -> Callable[[int], None]:
    """Take jobs from the queue, one after the other, in a thread: `make(job, step)` makes a clip and returns a word.

    Returns a function that stops taking jobs and gives the one at work so many seconds. A process does this once.
    """

    def step(name: str, function: Callable[[], Any]) -> Any:
        return DBOS.run_step({"name": name}, function)

    @DBOS.workflow(name=WORKFLOW)
    def clip(job: str) -> str:
        return make(job, step)

    DBOS(
        config={
            "name": APPLICATION,
            "system_database_url": settings.database_url,
            "system_database_engine": engine,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": VERSION,
            "executor_id": worker,
            "run_migrations": False,
            "use_listen_notify": False,
            "enable_otlp": False,
            "log_level": "WARNING",
        }
    )
    DBOS.listen_queues([QUEUE])
    DBOS.launch()
    return lambda seconds: DBOS.destroy(workflow_completion_timeout_sec=seconds)
