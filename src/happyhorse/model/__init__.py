"""The single-stream denoiser, for the 15B weights and for the pony: tokens, layers, horse."""
