from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.flow import path

LEVELS = st.floats(0.01, 1.0)


def test_ends_are_data_and_noise() -> None:
    data, noise = torch.randn(3, 4), torch.randn(3, 4)
    torch.testing.assert_close(path.interpolate(data, noise, torch.tensor(0.0)), data)
    torch.testing.assert_close(path.interpolate(data, noise, torch.tensor(1.0)), noise)


@given(LEVELS)
@settings(deadline=None)
def test_a_point_and_its_velocity_give_back_both_ends(level: float) -> None:
    data, noise = torch.randn(2, 5, 4, dtype=torch.float64), torch.randn(2, 5, 4, dtype=torch.float64)
    sigma = torch.tensor([level, level / 2], dtype=torch.float64)[:, None, None]
    x, velocity = path.interpolate(data, noise, sigma), path.velocity(data, noise)
    torch.testing.assert_close(path.data_from_velocity(x, velocity, sigma), data)
    torch.testing.assert_close(path.noise_from_velocity(x, velocity, sigma), noise)
    torch.testing.assert_close(path.velocity_from_data(x, data, sigma), velocity)


def test_velocity_is_the_derivative_of_the_path() -> None:
    data, noise = torch.randn(4).double(), torch.randn(4).double()
    near, far = (path.interpolate(data, noise, torch.tensor(s, dtype=torch.float64)) for s in (0.3, 0.3 + 1e-6))
    torch.testing.assert_close((far - near) / 1e-6, path.velocity(data, noise), atol=1e-6, rtol=1e-6)


def test_renoising_keeps_the_data_and_gives_the_noise_of_the_higher_level() -> None:
    rng = torch.Generator().manual_seed(0)
    data, noise, more = torch.full((200_000,), 3.0), *torch.randn(2, 200_000, generator=rng)
    x = path.renoise(path.interpolate(data, noise, torch.tensor(0.4)), more, 0.4, 0.7)
    assert abs(x.mean() - 0.3 * 3) < 0.01 and abs(x.std() - 0.7) < 0.01
    torch.testing.assert_close(path.renoise(x, more, 0.7, 0.7), x)
