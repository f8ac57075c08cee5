"""What the official `openai` client does with a server; `python use_openai.py URL` runs it with the version it finds.

Not a test by itself: `test_clients` runs it in a process, once for each version.
"""

import asyncio
import io
import sys
import warnings

import openai
from openai import AsyncOpenAI, OpenAI, omit

warnings.simplefilter("ignore", DeprecationWarning)


def main(base: str, picture: bytes) -> None:
    """Everything, in order; the first thing that is not as it should be raises."""
    client = OpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0)
    first = client.videos.create(prompt="a red ball bounces", model="sora-2", seconds="1", size="720x1280")
    assert first.status == "queued" and first.seconds == "1" and first.model == "sora-2", first
    done = client.videos.poll(first.id)
    assert done.status == "completed" and done.progress == 100 and done.error is None, done
    assert done.completed_at and done.expires_at and done.expires_at > done.completed_at >= done.created_at
    content = client.videos.download_content(done.id)
    assert content.read()[4:8] == b"ftyp" and content.response.headers["content-type"] == "video/mp4"
    for variant, magic in (("thumbnail", b"RIFF"), ("spritesheet", b"\xff\xd8\xff")):
        assert client.videos.download_content(done.id, variant=variant).read().startswith(magic)  # type: ignore[arg-type]

    raw = client.videos.create(prompt="a red ball", input_reference=picture)
    named = client.videos.create(
        prompt="a red ball", input_reference=("../x.gif", io.BytesIO(picture), "text/html")
    )
    extra = client.videos.create_and_poll(
        prompt="a red ball", extra_body={"seed": 11, "steps": 2, "guidance": 1.5}
    )
    assert extra.status == "completed" and extra.model_extra and extra.model_extra["seed"] == 11, extra
    as_json = client.videos.create(prompt="a red ball", extra_headers={"Content-Type": "application/json"})
    assert {client.videos.poll(video.id).status for video in (raw, named, as_json)} == {"completed"}

    seen = [video.id for video in client.videos.list(limit=2)]  # goes on from page to page
    assert len(seen) == len(set(seen)) and {first.id, raw.id, named.id, extra.id, as_json.id} <= set(seen), (
        seen
    )
    remix = client.videos.remix(done.id, prompt="a blue ball")
    assert remix.remixed_from_video_id == done.id and remix.size == done.size
    longer = client.videos.extend(
        prompt="it stops", seconds="1", video=io.BytesIO(client.videos.download_content(done.id).read())
    )  # type: ignore[arg-type]
    other = client.videos.extend(prompt="on", seconds="1", video=omit, extra_body={"video": {"id": done.id}})  # type: ignore[arg-type]
    edited = client.videos.edit(
        prompt="a horse", video=omit, extra_body={"video": {"id": done.id}, "span": "0.2-0.6"}
    )  # type: ignore[arg-type]
    assert [client.videos.poll(video.id).status for video in (longer, other, edited)] == ["completed"] * 3
    assert client.videos.retrieve(other.id).seconds == "2"

    for wrong, kind, param in (
        (lambda: client.videos.create(prompt=""), openai.BadRequestError, "prompt"),
        (lambda: client.videos.create(prompt="x", size="5x5"), openai.BadRequestError, "size"),  # type: ignore[arg-type]
        (lambda: client.videos.create(prompt="x", seconds=500), openai.BadRequestError, "seconds"),  # type: ignore[arg-type]
        (lambda: client.videos.create(prompt="x", model="nobody"), openai.NotFoundError, "model"),
        (
            lambda: client.videos.create(prompt="x", input_reference=b"no picture"),
            openai.BadRequestError,
            "input_reference",
        ),
        (lambda: client.videos.retrieve("video_" + "0" * 32), openai.NotFoundError, None),
        (
            lambda: client.videos.edit(prompt="x", video=io.BytesIO(b"no video"), extra_body={"span": "0-1"}),
            openai.BadRequestError,
            "video",
        ),  # type: ignore[arg-type]
    ):
        try:
            wrong()
        except kind as error:
            assert error.param == param and error.code, (error.param, error.code, param)
        else:
            raise AssertionError(f"{param} was taken")
    waiting = client.videos.create(prompt="a red ball", extra_body={"steps": 300})
    cancelled = client.post(f"/videos/{waiting.id}/cancel", cast_to=type(waiting))
    assert cancelled.status == "cancelled" and client.videos.poll(waiting.id).status == "cancelled"
    gone = client.videos.delete(waiting.id)
    assert gone.deleted and gone.object == "video.deleted"
    assert [model.id for model in client.models.list()]
    asyncio.run(in_async(base))
    print(f"openai {openai.__version__}: {len(seen)} videos")


async def in_async(base: str) -> None:
    """The asynchronous client."""
    async with AsyncOpenAI(base_url=f"{base}/v1", api_key="none", max_retries=0) as client:
        videos = [
            await client.videos.create_and_poll(prompt=f"a red ball {n}", poll_interval_ms=100)
            for n in range(2)
        ]
        assert all(video.status == "completed" for video in videos)
        assert [video.id async for video in await client.videos.list(limit=1)][:2] == [
            video.id for video in videos[::-1]
        ]


if __name__ == "__main__":
    main(sys.argv[1], sys.stdin.buffer.read())
