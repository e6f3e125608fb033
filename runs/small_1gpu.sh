#!/usr/bin/env bash
# A model of 55M parameters at 128×128 from nothing on one GPU: data from seeds on the spot → codec → latents →
# transformer → weights → one video. Meant to take 25 minutes in all.
#
# One call works for at most STAGE_S seconds (520 unless set) and saves; it ends with code 75 if there is more to do.
# To go on, run it again: until runs/small_1gpu.sh FOLDER; do [ $? = 75 ] || break; done
# EXTRA holds more settings, for example EXTRA="train_model.steps=100 worlds.clips=500". Usage: runs/small_1gpu.sh [FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

out=${1:-runs/out/small}
stage_s=${STAGE_S:-520}
settings=(worlds.clips=16000 train_codec.checkpoint_every=1000 train_model.checkpoint_every=1000
  train_model.ema_long_decay=0.9995)
set=()
for setting in "${settings[@]}" ${EXTRA:-}; do set+=(--set "$setting"); done

train() { # codec or model, and its options: goes on until it is done or the time is up
  local what=$1 left=$((stage_s - SECONDS))
  shift
  [ "$left" -gt 0 ] || exit 75
  python -m kinema train "$what" --preset small --out "$out/$what" "${set[@]}" --stop-after "$left" "$@"
  python - "$out/$what" "train_$what" <<'END' || exit 75
import json, sys
from pathlib import Path
from kinema.train.metrics import read_metrics
run = Path(sys.argv[1])
settings = run / "run.json"  # not there while latents are made
steps = json.loads(settings.read_text())[sys.argv[2]]["steps"] if settings.exists() else 1
sys.exit(max((line["step"] for line in read_metrics(run)), default=0) < steps)
END
}

train codec
train model --codec "$out/codec" # makes $out/model/latents first
python -m kinema info --weights "$out/model/weights"
python -m kinema generate "a red ball falls onto a grey floor and bounces" --weights "$out/model/weights" --out "$out/ball.mp4"
