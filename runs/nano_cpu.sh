#!/usr/bin/env bash
# The built-in model from nothing on two CPU cores: simulate → codec → latents → planner → transformer → weights → video.
# Every stage resumes where it stopped: to go on, run the script again. Needs `make test` once (for matplotlib).
# A process on each core trains faster than one with two threads. EXTRA holds more settings.
# To ship the result: cp FOLDER/model/weights/* src/kinema/weights/nano/. Usage: runs/nano_cpu.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

out=${1:-runs/out/nano}
set=()
for setting in ${EXTRA:-}; do set+=(--set "$setting"); done
train() { OMP_NUM_THREADS=1 torchrun --nproc-per-node 2 -m kinema train "$@" --preset nano "${set[@]}"; }

train codec --out "$out/codec"
kinema train latents --preset nano "${set[@]}" --codec "$out/codec" --out "$out/model"
train planner --out "$out/model"
train model --codec "$out/codec" --out "$out/model"
python -c "import pathlib, sys; from kinema.train.metrics import loss_curve; loss_curve(pathlib.Path(sys.argv[1]))" "$out/model"
kinema evaluate --weights "$out/model/weights" --out "$out/report" --update-card

kinema info --weights "$out/model/weights"
kinema generate "a red ball falls onto a grey floor and bounces" --weights "$out/model/weights" --out "$out/ball.mp4"
