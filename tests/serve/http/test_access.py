"""Keys: who may come in, and do what."""

import pytest
import sqlalchemy as sa

from happyhorse.serve.http import access
from happyhorse.serve.http.access import Keys, allow
from happyhorse.serve.http.errors import ApiError
from happyhorse.serve.jobs.tables import keys as table


@pytest.fixture
def keys(service, monkeypatch):
    monkeypatch.setattr(access, "FRESH", 0.0)
    return Keys(service.engine, service.settings)


def test_without_keys_everyone_may_do_everything(keys):
    caller = keys.caller(None)
    assert caller.owner == "local" and caller.sees is None and allow(caller, "make") is caller


def test_with_keys_callers_need_one(keys, service):
    key = keys.add("me", rate=7)
    caller = keys.caller(f"Bearer {key}")
    assert caller.limits.jobs_a_minute == 7 and caller.limits.seconds_a_day == service.settings.seconds_a_day
    assert caller.sees == caller.owner != "local"
    other = keys.add("you")
    for header in (
        None,
        "",
        "Bearer",
        "Bearer x",
        f"Basic {key}",
        f"Bearer {key[:-1]}0",
        key,
        f"Bearer {other[:16]}{key[16:]}",
    ):
        with pytest.raises(ApiError) as error:
            keys.caller(header)
        assert error.value.status == 401


def test_what_is_kept_of_a_key_opens_nothing(keys, service):
    key = keys.add("me")
    with service.engine.connect() as connection:
        kept = connection.execute(sa.select(table)).mappings().one()
    assert key.rpartition("-")[2] not in str(kept) and kept["hash"] not in key
    with pytest.raises(ApiError):
        keys.caller(f"Bearer hh-{kept['id']}-{kept['hash']}")
    listed = keys.list()
    assert [one["name"] for one in listed] == ["me"] and "hash" not in listed[0]


def test_scopes(keys):
    reader = keys.caller(f"Bearer {keys.add('reader', ('read',))}")
    allow(reader, "read")
    for scope in ("make", "admin"):
        with pytest.raises(ApiError) as error:
            allow(reader, scope)
        assert error.value.status == 403
    admin = keys.caller(f"Bearer {keys.add('admin', ('admin',))}")
    assert allow(admin, "make").sees is None
    with pytest.raises(ValueError, match="no scope 'write'"):
        keys.add("x", ("write",))


def test_the_last_key_that_is_revoked_does_not_open_a_closed_door(service, monkeypatch):
    monkeypatch.setattr(access, "FRESH", 0.0)
    keys = Keys(service.engine, service.settings, closed=True)
    key = keys.add("me")
    keys.revoke(keys.caller(f"Bearer {key}").owner)
    for header in (None, f"Bearer {key}"):
        with pytest.raises(ApiError) as error:
            keys.caller(header)
        assert error.value.status == 401
    assert Keys(service.engine, service.settings).caller(None).owner == "local"


def test_a_revoked_key_opens_nothing(keys):
    key = keys.add("me")
    keys.add("other")
    keys.revoke(keys.caller(f"Bearer {key}").owner)
    with pytest.raises(ApiError):
        keys.caller(f"Bearer {key}")
    with pytest.raises(ValueError, match="no key 'zzz'"):
        keys.revoke("zzz")
