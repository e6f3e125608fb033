"""``kinema info``: the card of a weights folder, and the words it knows."""

from __future__ import annotations

import argparse
import textwrap

from kinema.sample.weights import FILES, WeightsFolder


def run(options: argparse.Namespace) -> None:
    """Prints the card.

    Raises:
        InputError: no such weights.
        KinemaError: damaged weights.
    """
    folder = WeightsFolder.find(options.weights)
    card, words = folder.card(), sorted(folder.vocabulary().known)
    print(card.text(), end="")
    print(f"\n## Files in {folder.path}\n")
    for name in FILES:
        print(f"- {name}: {(folder.path / name).stat().st_size / 1e6:.2f} MB")
    print(f"\n## The {len(words)} words it knows\n")
    print(textwrap.fill(", ".join(words), 110))
