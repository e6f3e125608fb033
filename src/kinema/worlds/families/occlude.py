"""Hide behind a wall: bodies go on existing while nobody sees them."""

from __future__ import annotations

from kinema.worlds.scene import Body, Draw, Prop, Scene, half_height, reach


def draw(draw: Draw) -> Scene:
    """One or two bodies cross behind a wall in opposite directions; some sliding ones stop before they come out."""
    count = draw.count((0.7, 0.3))
    sign = draw.sign()
    infos = [draw.info(("small", "medium")) for _ in range(count)]
    tallest = max(half_height(info) for info in infos)
    wall_height = 2 * tallest + draw.uniform(0.25, 0.4)
    wall_half_width = draw.uniform(0.55, 0.7)
    wall = Prop("wall", draw.prop_color(), (wall_half_width, 0.06, wall_height / 2), (0.0, -0.85, wall_height / 2))
    bodies = []
    for index, info in enumerate(infos):
        towards = sign if index == 0 else -sign
        depth = 0.0 if count == 1 else (-0.25 if index == 0 else 0.85)
        speed = draw.uniform(1.15, 1.7) * (1.0 if info.shape == "sphere" else 1.2)
        spin = speed / info.half_size_m[0] if info.shape == "sphere" else 0.0
        place = (-towards * (1.75 - reach(info)), depth, half_height(info))
        bodies.append(
            Body(info, place, velocity_mps=(towards * speed, 0.0, 0.0), spin_radps=(0.0, towards * spin, 0.0))
        )
    return draw.scene(bodies, floor_friction=0.06, props=(wall,), facts={"towards": "right" if sign > 0 else "left"})
