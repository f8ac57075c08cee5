"""The verbs that serve: `happyhorse serve`, `studio`, `worker`, `batch`, `keys`."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from happyhorse import cli_show as show

Json = Annotated[bool, typer.Option("--json", help="Print each result as one line of JSON.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder of the database and the clips; otherwise HAPPYHORSE_DATA.")
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model", help="Name of a model or folder with weights; repeatable, the first is the default."
    ),
]
NEEDED = ("fastapi", "uvicorn", "dbos", "obstore", "prometheus_client", "python_multipart")
keys_app = typer.Typer(no_args_is_help=True)


def serve(
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; otherwise this machine only.")
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; otherwise 8000; 0: any free one.")
    ] = None,
    model: ModelNames = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes that make clips, started here; otherwise 1.")
    ] = None,
    data: Data = None,
    public_url: Annotated[
        str | None, typer.Option(help="Address by which clients reach the server, where it is another one.")
    ] = None,
    anyone: Annotated[
        bool, typer.Option("--anyone", help="Listen to other machines although there are no keys.")
    ] = False,
    json: Json = False,
) -> None:
    """Serve models over HTTP, in the dialects of OpenAI, DashScope and Ark; jobs survive the process."""
    _quiet_threads()
    settings = _settings(
        host=host,
        port=port,
        models=tuple(model or ()) or None,
        workers=workers,
        data=data,
        public_url=public_url,
    )
    from happyhorse.serve import logs, server

    logs.start()

    def started(address: str) -> None:
        where = f"{address}\n  models: {', '.join(settings.models)}; data: {settings.data}"
        show.result(
            {"url": address, "models": list(settings.models), "data": str(settings.data)}, where, json
        )

    server.serve(settings, anyone, started)


def studio(
    model: ModelNames = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; otherwise 8000, or any free one.")
    ] = None,
    data: Data = None,
    open_page: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser.")] = True,
    json: Json = False,
) -> None:
    """Make clips in the browser: a server for this machine alone, and its page. Where one runs already, its page."""
    _quiet_threads()
    settings = _settings(host="127.0.0.1", port=port, models=tuple(model or ()) or None, data=data)
    from happyhorse.serve import logs, server, service

    def started(address: str) -> None:
        show.result({"url": address, "data": str(settings.data)}, address, json)
        if open_page and not _show_page(address):
            show.say(f"there is no browser to open here; open {address} in yours", "studio")

    address = service.running(settings) if settings.is_local else None
    if address is not None:
        show.say("a server is running already; this is its page", "studio")
        started(address)
        return
    try:
        listener = server.bind(settings.host, settings.port)
    except ValueError:
        if port is not None:
            raise
        listener = server.bind(settings.host, 0)
    logs.start("WARNING")  # the page says the rest
    server.serve(settings, started=started, listener=listener)


def worker(
    model: ModelNames = None,
    data: Data = None,
    with_parent: Annotated[
        bool, typer.Option("--with-parent", help="Stop when standard input ends.", hidden=True)
    ] = False,
    log: Annotated[str, typer.Option(help="Least level of lines in the log.", hidden=True)] = "INFO",
) -> None:
    """Make clips for a server, in another process or on another machine: by the same database and blob store."""
    _quiet_threads()
    settings = _settings(models=tuple(model or ()) or None, data=data)
    from happyhorse.serve import logs
    from happyhorse.serve.service import open_service
    from happyhorse.serve.worker import work

    logs.start(log)
    work(open_service(settings), with_parent)


def batch(
    manifest: Annotated[Path, typer.Argument(help="JSON lines, each with a prompt and fields such as seed.")],
    output: Annotated[Path, typer.Argument(help="Folder for the clips and results.jsonl.")],
    model: Annotated[str, typer.Option(help="Model of lines that name none.")] = "pony",
    ray: Annotated[
        int, typer.Option(min=0, metavar="ACTORS", help="Make them with so many actors of a Ray cluster.")
    ] = 0,
    json: Json = False,
) -> None:
    """Make the clips of a manifest, and go on where an earlier run stopped; failed ones are tried again."""
    from happyhorse.serve import batch as batches

    rows = batches.read_manifest(manifest, model)
    output.mkdir(parents=True, exist_ok=True)
    todo = batches.left(rows, output)
    if len(todo) < len(rows):
        show.say(f"{len(rows) - len(todo)} of {len(rows)} clips are there already", "batch")
    failed = 0
    with show.progress() as report:
        made = batches.run_on_ray(todo, output, ray) if ray else batches.run(todo, output, report)
        for result in made:
            failed += "error" in result
            line = f"{result['name']}: {result['error']}" if "error" in result else result["path"]
            show.result(result, line, json)
    if failed:
        raise ValueError(f"{failed} of {len(todo)} clips failed; {output / batches.RESULTS} says why")


@keys_app.command("add")
def keys_add(
    name: Annotated[str, typer.Argument(help="Whose key it is, for people.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="make, read or admin; repeatable; otherwise make and read.")
    ] = None,
    rate: Annotated[int | None, typer.Option(min=0, help="New clips a minute; 0: any number.")] = None,
    seconds_a_day: Annotated[
        int | None, typer.Option(min=0, help="Seconds of work in 24 hours; 0: any number.")
    ] = None,
    data: Data = None,
    json: Json = False,
) -> None:
    """Make an API key and print it once; from then on callers need one. Its `rate` is in units of clips a minute."""
    key = _keys(data).add(name, tuple(scope or ("make", "read")), rate, seconds_a_day)
    show.result({"key": key, "name": name}, f"{key}\n  it is not kept here and cannot be shown again", json)


@keys_app.command("list")
def keys_list(data: Data = None, json: Json = False) -> None:
    """List the keys, without what they open."""
    for key in _keys(data).list():
        show.result(key, f"{key['id']}  {key['name']}  {', '.join(key['scopes'])}", json)


@keys_app.command("revoke")
def keys_revoke(
    key: Annotated[str, typer.Argument(help="Id of a key, as the list shows it.")],
    data: Data = None,
    json: Json = False,
) -> None:
    """Let a key in no more."""
    _keys(data).revoke(key)
    show.result({"revoked": key}, f"{key} opens nothing any more", json)


def _settings(**given: Any) -> Any:
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise ValueError(
            f"serving needs {', '.join(missing)}; install them with: pip install 'happyhorse[serve]'"
        )
    from happyhorse.serve.settings import Settings

    return Settings.read(**given)


def _keys(data: Path | None) -> Any:
    settings = _settings(data=data)
    from happyhorse.serve.http.access import Keys
    from happyhorse.serve.service import open_service

    return Keys(open_service(settings).engine, settings)


def _show_page(address: str) -> bool:
    """Open an address in a browser with windows; False where there is none. One in the terminal would stand in it."""
    import sys
    import webbrowser

    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY", "BROWSER"} & set(os.environ):
        return False
    return webbrowser.open(address)


def _quiet_threads() -> None:
    """Decoders are threads beside those of the model; numpy needs none of its own."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
