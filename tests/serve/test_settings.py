"""Settings: from the environment and back, and what is wrong with them."""

from dataclasses import fields
from pathlib import Path

import pytest

from happyhorse.serve.settings import Settings, variable


def test_the_environment_says_what_the_command_line_does_not():
    environment = {
        "HAPPYHORSE_DATABASE_URL": "postgresql://me:secret@host/clips",
        "HAPPYHORSE_MODELS": "pony, runs/nano",
        "HAPPYHORSE_LEASE": "7.5",
        "HAPPYHORSE_QUEUE": "3",
    }
    settings = Settings.read(environment, queue=5, host=None)
    assert settings.models == ("pony", "runs/nano") and settings.lease == 7.5 and settings.queue == 5
    assert settings.database_url == "postgresql+psycopg://me:secret@host/clips" and not settings.is_local
    assert Settings.read(settings.as_environment()) == settings


def test_every_setting_has_one_variable():
    names = [variable(field.name) for field in fields(Settings)]
    assert len(set(names)) == len(names) and "HAPPYHORSE_BLOBS" in names


def test_a_folder_without_anything_else_is_enough(tmp_path):
    settings = Settings.read({}, data=tmp_path)
    assert settings.is_local and settings.database_url == f"sqlite:///{tmp_path / 'jobs.db'}"
    assert Settings.read({}).data.is_absolute() and Settings(data=Path("x")).data.is_absolute()


@pytest.mark.parametrize(
    ("environment", "given", "message"),
    [
        ({"HAPPYHORSE_PORT": "eighty"}, {}, "HAPPYHORSE_PORT is 'eighty'; give a whole number"),
        ({}, {"queues": 3}, "no setting 'queues'; did you mean 'queue'"),
        ({}, {"queue": 0}, "queue is 0; give 1 or more"),
        ({}, {"workers": -1}, "workers is -1; give 0 or more"),
        ({}, {"models": ()}, "no model to serve"),
        ({}, {"lease": 0.1}, "lease is at least 1 second"),
        ({"HAPPYHORSE_LEASE": "nan"}, {}, "lease is at least 1 second"),
        ({"HAPPYHORSE_KEEP": "inf"}, {}, "none of them is endless"),
        ({"HAPPYHORSE_PORT": "99999"}, {}, "port is 99999; give 0"),
    ],
)
def test_wrong_settings_say_what_to_do(environment, given, message):
    with pytest.raises(ValueError, match=message):
        Settings.read(environment, **given)


def test_another_database_is_refused():
    with pytest.raises(ValueError, match="give postgresql://"):
        _ = Settings.read({}, database="mysql://x/y").database_url
