#!/usr/bin/env bash
# The built-in model from nothing on one GPU, with as many steps as fit in MINUTES: data from seeds on the spot → codec →
# latents → transformer → planner → weights. A short trial of each network tells how long its step takes.
#
# It goes on until it is done; to go on after an interruption, run it again. EXTRA holds more settings, WORKERS the
# processes that render (all cores but four). Usage: runs/nano_1gpu.sh [FOLDER] [MINUTES]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

out=${1:-runs/out/nano_1gpu}
minutes=${2:-12}
cores=$(getconf _NPROCESSORS_ONLN)
workers=${WORKERS:-$((cores > 5 ? cores - 4 : 1))}
trial_steps=${TRIAL_STEPS:-100}
settings=(worlds.clips=24000 train_codec.batch=64 train_codec.checkpoint_every=2000 train_codec.validate_every=1000000
  train_model.batch=256 train_model.warmup_steps=200 train_model.ema_decay=0.999 train_model.checkpoint_every=2000
  train_model.image_steps=300 train_model.short_steps=700)
set=()
for setting in "${settings[@]}" ${EXTRA:-}; do set+=(--set "$setting"); done
kinema() { python -m kinema "$@"; }

steps_in() { # run folder, seconds: how many of its steps fit
  python - "$1" "$2" <<'END'
import sys
from pathlib import Path
from statistics import median
from kinema.train.metrics import read_metrics
seconds = [line["seconds"] for line in read_metrics(Path(sys.argv[1])) if "seconds" in line]
print(max(20, int(float(sys.argv[2]) * 0.95 / median(seconds[len(seconds) // 2 :]))))
END
}

mkdir -p "$out"
if [ ! -f "$out/steps" ]; then
  trial=$out/trial # the built-in codec's latents of few clips tell the model's speed; the codec's own clips are kept
  kinema train latents --codec "${CODEC:-nano}" --out "$trial" "${set[@]}" --set worlds.clips="${TRIAL_CLIPS:-400}"
  kinema train model --codec "${CODEC:-nano}" --out "$trial" "${set[@]}" --set worlds.clips="${TRIAL_CLIPS:-400}" \
    --set train_model.steps="$trial_steps" --set train_model.image_steps=0 --set train_model.short_steps=0
  kinema train planner --out "$trial" "${set[@]}" --set worlds.clips="${TRIAL_CLIPS:-400}" \
    --set planner.steps="$trial_steps"
  kinema train codec --out "$out/codec_trial" "${set[@]}" --set train_codec.steps="$trial_steps"
  mkdir -p "$out/codec"
  ln -f "$out"/codec_trial/*.npy "$out/codec/"
  left=$((60 * minutes - SECONDS))
  codec_steps=$(steps_in "$out/codec_trial" $((left * 27 / 100)))
  planner_steps=$(steps_in "$trial/planner" $((left * 9 / 100)))
  echo "$codec_steps $(steps_in "$trial" $((left * 54 / 100))) $planner_steps" > "$out/steps"
fi
read -r codec_steps model_steps planner_steps < "$out/steps"
echo "$codec_steps steps of the codec, $model_steps of the model, $planner_steps of the planner"
set+=(--set train_codec.steps="$codec_steps" --set train_model.steps="$model_steps" --set planner.steps="$planner_steps"
  --set train_model.first_clips="${FIRST_CLIPS:-4000}" --set train_model.grow_steps=$((model_steps * 3 / 4)))

( # latents, in the background: clips wait in memory until the codec is trained
  until [ -f "$out/codec/run.json" ]; do sleep 0.5; done
  exec python -m kinema train latents --codec "$out/codec" --out "$out/model" --workers "$workers" "${set[@]}" \
    >> "$out/latents.log" 2>&1
) &
maker=$!
trap 'kill $maker 2> /dev/null || true' EXIT

kinema train codec --out "$out/codec" "${set[@]}"
kinema train model --codec "$out/codec" --out "$out/model" "${set[@]}"
kinema train planner --out "$out/model" "${set[@]}"
kinema train model --codec "$out/codec" --out "$out/model" "${set[@]}" # is done: exports once more, with the planner
kinema info --weights "$out/model/weights"
