"""The gallery: 24 prompts over all families of worlds, seeds 0 to 23, no picking; a moving WebP and a contact sheet.

python benchmarks/gallery.py OUT_FOLDER [WEIGHTS]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import kinema
from kinema.clips.contact_sheet import contact_sheet
from kinema.clips.video_io import write_video

PROMPTS = (
    "a red ball falls and bounces on a grey floor",
    "a blue cube falls onto a dark floor",
    "a yellow cone and a green cube fall",
    "an orange ball is thrown to the right",
    "a cyan cylinder flies through the air at dusk",
    "a pink ball hits a blue cube on a grey floor",
    "a green cube slides and bumps into a yellow cylinder",
    "a red ball rolls down a white ramp",
    "a lime cylinder slides down a brown ramp",
    "a blue ball is swinging to the right",
    "a pink cube on a rod swings to the left and back",
    "five red dominoes topple one after another",
    "a green cube on top of a yellow cylinder stays standing",
    "an orange cube slides behind a grey wall and stays out of sight",
    "a purple ball rolls behind a white wall and comes out again",
    "a blue ball shatters a glass pane",
    "a red cube falls into the water and sinks",
    "drops fall into a pool of blue water",
    "a yellow slab floats on the water",
    "a red cylinder passes behind a glass of water",
    "a cyan ball slides to the left in front of a mirror",
    "a red cube and a blue ball stand still while the camera circles to the left",
    "a green ball draws a wet red trail on a white floor",
    "a yellow cube collects one of three blue spheres on a landscape of grass blocks",
)
COLUMNS, SCALE = 6, 2


def main() -> None:
    """Generates every prompt once and writes ``gallery.webp`` and ``gallery.png``."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    pipeline = kinema.load(sys.argv[2] if len(sys.argv) > 2 else "nano")
    videos = [pipeline.generate(prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    contact_sheet([video.pixels for video in videos], out / "gallery.png", columns=9)
    rows = [videos[start : start + COLUMNS] for start in range(0, len(videos), COLUMNS)]
    grid_THW3 = np.concatenate([np.concatenate([v.pixels for v in row], axis=2) for row in rows], axis=1)
    write_video(out / "gallery.webp", grid_THW3.repeat(SCALE, axis=1).repeat(SCALE, axis=2), videos[0].fps)


if __name__ == "__main__":
    main()
