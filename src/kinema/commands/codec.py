"""``kinema codec``: what the video autoencoder keeps of a video."""

from __future__ import annotations

import argparse

from kinema.clips.video_io import check_output, read_video, write_video
from kinema.errors import InputError
from kinema.sample.weights import WeightsFolder
from kinema.shapes import FRAMES_PER_LATENT, MIN_SIDE, PIXELS_PER_TOKEN, VideoShape


def run(options: argparse.Namespace) -> None:
    """Encodes and decodes a video, cropped to what the geometry allows, and prints how close the result is.

    Raises:
        InputError: no video in the file, a video too small or too large, or an output that cannot be written.
        KinemaError: damaged weights, or a full disk.
    """
    check_output(options.out)
    folder = WeightsFolder.find(options.weights)
    video = read_video(options.file)
    frames, height, width = video.pixels_THW3.shape[:3]
    if min(height, width) < MIN_SIDE:
        raise InputError(f"{options.file} is {width}x{height}: the codec needs at least {MIN_SIDE} pixels a side")
    shape = VideoShape(
        1 + (frames - 1) // FRAMES_PER_LATENT * FRAMES_PER_LATENT,
        height // PIXELS_PER_TOKEN * PIXELS_PER_TOKEN,
        width // PIXELS_PER_TOKEN * PIXELS_PER_TOKEN,
    )
    top, left = (height - shape.height) // 2, (width - shape.width) // 2
    pixels_THW3 = video.pixels_THW3[: shape.frames, top : top + shape.height, left : left + shape.width]

    from kinema.sample.generate import reconstruct  # torch: only now that all else is known to be right

    decoded_THW3, psnr_db, ssim = reconstruct(folder.codec(), pixels_THW3)
    write_video(options.out, decoded_THW3, video.fps)
    if (frames, height, width) != (shape.frames, shape.height, shape.width):
        print(f"cropped from {frames} frames of {width}x{height}: the codec takes 1 + 4k frames and sides of 16n")
    print(f"{options.out}: {shape.frames} frames of {shape.width}x{shape.height}")
    print(f"PSNR {psnr_db:.2f} dB, SSIM {ssim:.4f}")
