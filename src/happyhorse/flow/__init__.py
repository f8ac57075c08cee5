"""The mathematics of flow matching as pure functions.

One convention everywhere: ``x_s = (1 - s) x0 + s n`` and ``v = n - x0``; sigma ``s`` is 1 at noise and 0 at
data.

- `path`: points on the path, what a velocity says about both ends, training noise levels, the loss
- `schedules`: which sigmas a sampler visits
- `samplers`: from noise to data along a velocity: euler, heun, unipc, renoise
- `guidance`: several velocities become one
"""
