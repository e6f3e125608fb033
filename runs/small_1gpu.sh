#!/usr/bin/env bash
# A model of 55M parameters at 128×128 from nothing on one GPU: data from seeds on the spot → codec → latents →
# transformer → weights → one video. Meant to take 25 minutes in all.
#
# The cores render clips while the GPU trains the codec, and go on while the transformer trains on the first latents.
# One call works for at most STAGE_S seconds (520 unless set) and saves; it ends with code 75 if there is more to do.
# To go on, run it again: until runs/small_1gpu.sh FOLDER; do [ $? = 75 ] || break; done
# EXTRA holds more settings, for example EXTRA="train_model.steps=100 worlds.clips=500"; PRESET another preset, WORKERS
# the processes that render (all cores but four). Usage: runs/small_1gpu.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

preset=${PRESET:-small}
out=${1:-runs/out/$preset}
stage_s=${STAGE_S:-520}
cores=$(getconf _NPROCESSORS_ONLN)
workers=${WORKERS:-$((cores > 5 ? cores - 4 : 1))}
settings=(worlds.clips=16000 train_codec.checkpoint_every=1000 train_model.checkpoint_every=1000
  train_model.ema_long_decay=0.9995 train_model.first_clips=4000 train_model.grow_steps=4000)
set=()
for setting in "${settings[@]}" ${EXTRA:-}; do set+=(--set "$setting"); done

train() { # what, its folder, the folder and section of its run, and options: goes on until it is done or the time is up
  local what=$1 folder=$2 run=$3 section=$4 left=$((stage_s - SECONDS))
  shift 4
  [ "$left" -gt 0 ] || exit 75
  python -m kinema train "$what" --preset "$preset" --out "$folder" "${set[@]}" --stop-after "$left" "$@"
  python - "$run" "$section" <<'END' || exit 75
import json, sys
from pathlib import Path
from kinema.train.metrics import read_metrics
metrics = read_metrics(run := Path(sys.argv[1]))
steps = json.loads((run / "run.json").read_text())[sys.argv[2]]["steps"]
sys.exit(max((line["step"] for line in metrics), default=0) < steps)
END
}

mkdir -p "$out"
( # latents, in the background: clips wait in memory until the codec is trained
  until [ -f "$out/codec/run.json" ]; do sleep 0.5; done
  exec python -m kinema train latents --preset "$preset" --codec "$out/codec" --out "$out/model" --workers "$workers" \
    "${set[@]}" >> "$out/latents.log" 2>&1
) &
maker=$!
trap 'kill $maker 2> /dev/null || true' EXIT

train codec "$out/codec" "$out/codec" train_codec
train model "$out/model" "$out/model" train_model --codec "$out/codec"
train planner "$out/model" "$out/model/planner" planner
train model "$out/model" "$out/model" train_model --codec "$out/codec" # is done: exports once more, with the planner
python -m kinema info --weights "$out/model/weights"
python -m kinema generate "a red ball falls onto a grey floor and bounces" --weights "$out/model/weights" --out "$out/ball.mp4"
