"""Latents of a cache that is still in the making: a run may begin with the first shards and read the others later."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path
from typing import Any

from kinema.clips.shards import MANIFEST, is_whole, plan_shards
from kinema.config import Config, WorldsConfig
from kinema.errors import InputError
from kinema.train.latents import HELD_OUT_CLIPS, SHARD_CLIPS, LatentDataset, read_shard

logger = logging.getLogger(__name__)

POLL_S = 0.5
PATIENCE_S = 3600.0  # for the next shard


class GrowingLatents:
    """The clips of a cache in their order, in memory as far as anyone has asked for them.

    Attributes:
        data: the clips from the first one on.
        last: the clips of the last shard, which is made first; those held out are among them.

    Args:
        folder: the cache.
        clips: how many clips to wait for at first.

    Raises:
        InputError: nothing comes for an hour, or a shard is damaged.
    """

    def __init__(self, folder: Path, clips: int) -> None:
        self._folder = folder
        manifest = self._wait(None)
        facts = manifest["made_from"]
        total, self._shard_clips = facts["worlds"]["clips"], facts["shard_clips"]
        self._plans = plan_shards(WorldsConfig(clips=total), self._shard_clips)
        self.data = LatentDataset([], [], [], [], [], [], total)
        self.last = LatentDataset([], [], [], [], [], [], total)
        self._append(self.last, len(self._plans) - 1)
        self.wait_for(clips)

    def wait_for(self, clips: int) -> None:
        """Returns when the first clips are in :attr:`data`."""
        while len(self.data) < clips:
            self._append(self.data, len(self.data) // self._shard_clips)

    def _append(self, to: LatentDataset, index: int) -> None:
        name = self._plans[index].name
        manifest = self._wait(name)
        if not is_whole(self._folder / name, manifest["shards"][name]["sha256"]):
            raise InputError(f"{self._folder / name} is damaged: delete it, and `kinema train latents` makes it again")
        read_shard(self._folder / name, to, index * self._shard_clips)

    def _wait(self, name: str | None) -> dict[str, Any]:
        """The manifest, as soon as it names a shard."""
        start_s, path = time.monotonic(), self._folder / MANIFEST
        while True:
            if path.exists():
                manifest: dict[str, Any] = json.loads(path.read_text())
                if name is None or name in manifest["shards"]:
                    return manifest
            waited_s = time.monotonic() - start_s
            if waited_s > PATIENCE_S:
                raise InputError(f"no more latents come to {self._folder}: start `kinema train latents` again")
            if waited_s > 10 and waited_s % 60 < POLL_S:
                logger.info("waiting for %s in %s", name or MANIFEST, self._folder)
            time.sleep(POLL_S)


def check_growth(config: Config) -> None:
    """Fails now if a model cannot begin before all latents are made.

    Raises:
        InputError: says what to change.
    """
    first, clips = config.train_model.first_clips, config.worlds.clips
    if not first:
        return
    if not 0 < first <= clips - HELD_OUT_CLIPS:
        raise InputError(f"train_model.first_clips={first} is not possible: give 1 to {clips - HELD_OUT_CLIPS}")
    if 0 < clips % SHARD_CLIPS < HELD_OUT_CLIPS:
        whole = clips // SHARD_CLIPS * SHARD_CLIPS
        raise InputError(
            f"train_model.first_clips needs {HELD_OUT_CLIPS} clips in the last shard: worlds.clips={whole}"
        )
