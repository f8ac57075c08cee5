"""Serve models over HTTP: three dialects at the door, one queue of durable jobs behind it, workers anywhere."""
