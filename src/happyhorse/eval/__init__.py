"""Metrics on clips: sync between sound and picture, what is shown, faults; and reports of them."""
