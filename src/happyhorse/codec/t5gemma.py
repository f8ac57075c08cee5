"""The text encoder of the 15B: the encoder half of T5Gemma-9B-9B-UL2, by transformers.

The denoiser was trained on what one version of transformers made of a prompt: one sequence without padding, attention
without the soft-cap that the configuration asks for, states after the final norm, rounded to bf16 and then to fp16 (15B
spec section 6.1). All of that is kept.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from happyhorse.codec.published import extra

LONGEST = 640  # tokens that the denoiser reads; of a longer prompt the end is lost


class TextEncoder(nn.Module):
    """A prompt -> its token vectors [1, n, 3584]."""

    def __init__(self, tokenizer: Any, model: Any, begin: int | None) -> None:
        """`tokenizer` and encoder `model` are those of transformers; `begin` is the id that comes first, if any."""
        super().__init__()
        self.tokenizer, self.model, self.begin = tokenizer, model, begin

    def tokenize(self, prompt: str) -> Int[Tensor, "1 n"]:
        """Token ids of a prompt, all of them: no template, no padding, nothing cut."""
        ids = list(self.tokenizer(prompt).input_ids)
        if self.begin is not None and ids[:1] != [self.begin]:
            ids = [self.begin, *ids]
        return torch.tensor([ids])

    @torch.inference_mode()
    def encode(self, ids: Int[Tensor, "1 n"]) -> Float[Tensor, "1 m width"]:
        """Vectors of the first m = min(n, 640) tokens, float32 with the precision of fp16; all n are attended to."""
        device = next(self.model.parameters()).device
        states = self.model(input_ids=ids.to(device)).last_hidden_state
        return states.half().float()[:, :LONGEST]


def load_tokenizer(folder: str | Path) -> tuple[Any, int | None]:
    """The tokeniser in a folder of transformers, and the id with which each prompt begins (None where none does).

    It loads in a moment, without the encoder. Raises ValueError where the folder or transformers is missing or damaged.
    """
    with extra("the tokeniser of the text encoder", folder):
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        said = json.loads((Path(folder) / "tokenizer_config.json").read_text(encoding="utf-8"))
    # Gemma's tokeniser begins each text with <bos> unless it is told not to; transformers 5 does so only if told to.
    return tokenizer, tokenizer.bos_token_id if said.get("add_bos_token", True) else None


def load_text_encoder(
    folder: str | Path, device: torch.device | str, dtype: torch.dtype = torch.bfloat16
) -> TextEncoder:
    """The encoder half of the checkpoint in a folder of transformers, without gradients; the decoder is not read.

    `dtype` bfloat16 is what the denoiser was trained with. Raises ValueError where the folder or transformers is
    missing or damaged, and where the checkpoint lacks weights of the encoder.
    """
    tokenizer, begin = load_tokenizer(folder)
    with extra("the text encoder", folder):
        from transformers import T5GemmaConfig, T5GemmaEncoderModel

        config: Any = T5GemmaConfig.from_pretrained(folder, local_files_only=True)
        config.is_encoder_decoder = False
        config.encoder.attn_logit_softcapping = None  # which scaled_dot_product_attention silently left out
        with _quiet():  # it would list the weights of the decoder, one by one
            loaded: Any = T5GemmaEncoderModel.from_pretrained(
                folder, config=config, dtype=dtype, local_files_only=True, output_loading_info=True
            )
    model, report = loaded
    if report["missing_keys"]:
        raise ValueError(
            f"the text encoder in {folder} is incomplete ({min(report['missing_keys'])} is missing); pull it again"
        )
    # refused by name only because of the soft-cap, which is off
    model.encoder.config._attn_implementation = "sdpa"
    return TextEncoder(tokenizer, model.to(device).eval().requires_grad_(False), begin)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the reports and progress bars of transformers."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
