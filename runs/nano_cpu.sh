#!/usr/bin/env bash
# The built-in model from nothing on two CPU cores: simulate → codec → latents → planner → transformer → weights → video.
# Every stage resumes where it stopped: to go on, run the script again. Needs `make test` once (for matplotlib).
# To ship the result: cp FOLDER/model/weights/* src/kinema/weights/nano/. Usage: runs/nano_cpu.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

out=${1:-runs/out/nano}

kinema train codec --preset nano --out "$out/codec"
kinema train latents --preset nano --codec "$out/codec" --out "$out/model"
kinema train planner --preset nano --out "$out/model"
kinema train model --preset nano --codec "$out/codec" --out "$out/model"
python -c "import pathlib, sys; from kinema.train.metrics import loss_curve; loss_curve(pathlib.Path(sys.argv[1]))" "$out/model"
kinema evaluate --weights "$out/model/weights" --out "$out/report" --update-card

kinema info --weights "$out/model/weights"
kinema generate "a red ball falls onto a grey floor and bounces" --weights "$out/model/weights" --out "$out/ball.mp4"
