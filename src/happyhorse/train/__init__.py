"""MAKE 4-5: one loop, many objectives."""
