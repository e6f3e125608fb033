"""Classifier-free guidance as pure functions of two velocities.

Suffixes: B clips, X any further axes.
"""

from __future__ import annotations

from torch import Tensor


def guide(conditional_BX: Tensor, unconditional_BX: Tensor, scale: float, rescale: float = 0.0) -> Tensor:
    """Moves the velocity away from the one without (or with the negative) text (arXiv 2207.12598, equation 6).

    Args:
        conditional_BX: velocity given the text, first axis clips.
        unconditional_BX: velocity without it.
        scale: 1 is no guidance; larger follows the text more.
        rescale: share of the correction that gives each clip's velocity back the spread of the conditional one, against
            too strong contrast (arXiv 2305.08891, equations 15 and 16; 0.7 there).

    Returns:
        The guided velocity.
    """
    guided_BX = unconditional_BX + scale * (conditional_BX - unconditional_BX)
    if rescale == 0:
        return guided_BX
    axes = tuple(range(1, guided_BX.ndim))
    ratio_B1 = conditional_BX.std(axes, keepdim=True) / guided_BX.std(axes, keepdim=True).clamp_min(1e-12)
    return guided_BX * (rescale * ratio_B1 + (1 - rescale))


def scale_at(sigma: float, scale: float, interval: tuple[float, float] = (0.0, 1.0)) -> float:
    """The scale inside an interval of noise levels, 1 (a single model call) outside (arXiv 2404.07724)."""
    return scale if interval[0] <= sigma <= interval[1] else 1.0
