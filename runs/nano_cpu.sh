#!/usr/bin/env bash
# The built-in model from nothing on two CPU cores: simulate → codec → latents → transformer → weights → one video.
# Every stage resumes where it stopped: to go on, run the script again. Usage: runs/nano_cpu.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."

out=${1:-runs/out/nano}

kinema train codec --preset nano --out "$out/codec"
kinema train model --preset nano --codec "$out/codec" --out "$out/model" # makes $out/model/latents first

kinema info --weights "$out/model/weights"
kinema generate "a red ball falls onto a grey floor and bounces" --weights "$out/model/weights" --out "$out/ball.mp4"
