"""Clips whose content is known, made once for all tests of the evaluation."""

from __future__ import annotations

import pytest

from kinema.config import WorldsConfig
from kinema.data import Clip
from kinema.evaluate.adherence import held_out_clips


@pytest.fixture(scope="session")
def judged_clips() -> tuple[Clip, ...]:
    """One clip of every held-out combination of the judged families; no training clip is like them."""
    return tuple(held_out_clips(WorldsConfig(frames=21), each=1))
