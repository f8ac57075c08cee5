"""USE at scale: plans before work, memory policies, several devices for one clip, weights by name, better prompts."""
