"""Jobs that survive: rows that clients see, a durable queue, the stages of a clip as steps, workers that may die."""
