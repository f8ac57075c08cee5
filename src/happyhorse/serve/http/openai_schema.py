"""The objects of the OpenAI dialect, as its document shows them."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from happyhorse.given import MOST_REFERENCES
from happyhorse.serve.http.desk import PRIORITIES
from happyhorse.values import LONGEST_PROMPT


class NewVideo(BaseModel):
    """What can be asked for. In a form, nested fields are written with brackets, and files are files."""

    model_config = ConfigDict(extra="forbid")

    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    model: str | None = None
    seconds: str | None = Field(None, description='Length, such as "4".')
    size: str | None = Field(None, description='Such as "1280x720"; the answer says what it became.')
    input_reference: Any = Field(None, description="First frame: a file, or {image_url: data URL}.")
    last_frame: Any = Field(None, description="Picture to end with.")
    key_frames: Any = Field(None, description="List of {seconds, image}.")
    references: Any = Field(
        None,
        description=f"1 to {MOST_REFERENCES} pictures of a subject, each a file or {{image_url: data URL}}.",
    )
    audio: Any = Field(None, description="Sound that the clip is to have.")
    video: Any = Field(None, description="Clip to make a sound for: a file, or {id}.")
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    audio_guidance: float | None = None
    upscale_steps: int | None = None
    upscale_guidance: float | None = None
    sampler: str | None = None
    language: str | None = None
    draft: bool | None = Field(None, description="Stop before super-resolution; promote goes on.")
    priority: int | None = Field(None, ge=PRIORITIES[0], le=PRIORITIES[1])


class Remix(BaseModel):
    """Another prompt for the same clip."""

    model_config = ConfigDict(extra="forbid")
    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)


class Edit(BaseModel):
    """A clip to be changed as the prompt says, or of which a span is to be made anew."""

    model_config = ConfigDict(extra="forbid")
    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    video: Any = Field(description="The clip: a file, or {id}.")
    span: Any = Field(
        None,
        description='From and to which second it is made anew, "1-2.5" or [1, 2.5]; the rest stays.',
    )
    keep: Literal["picture", "sound"] | None = Field(None, description="Half of the clip to leave as it is.")
    model: str | None = None
    seed: int | None = None


class Extension(BaseModel):
    """A clip to go on from."""

    model_config = ConfigDict(extra="forbid")
    prompt: str = Field(min_length=1, max_length=LONGEST_PROMPT)
    video: Any = Field(description="The clip: a file, or {id}.")
    seconds: str | None = Field(None, description="Length of the new part.")
    model: str | None = None
    seed: int | None = None


class Trouble(BaseModel):
    """Why a video failed."""

    code: str
    message: str


class Video(BaseModel):
    """A video; the first thirteen keys are those of the dialect."""

    model_config = ConfigDict(extra="allow")

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed", "cancelled"]
    progress: int
    created_at: int
    completed_at: int | None
    expires_at: int | None
    prompt: str | None
    size: str
    seconds: str
    remixed_from_video_id: str | None
    error: Trouble | None
    seed: int
    draft: bool
    notes: list[str]
    urls: dict[str, str] = Field(description="Addresses that need no key, for a while.")


class Videos(BaseModel):
    """A page of videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(BaseModel):
    """A video that is gone."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class Plan(BaseModel):
    """What a video would take: seconds by stage, whether they are measured here, seconds until it would begin; and
    `memory` for models that are planned.
    """

    model: str
    size: str
    clip_seconds: float
    steps: int
    stages: dict[str, float]
    seconds: float
    measured: bool
    memory: dict[str, Any] | None
    wait: float


class ModelCard(BaseModel):
    """A model, and under `happyhorse` what can be asked of it."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str
    happyhorse: dict[str, Any]


class ModelCards(BaseModel):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
