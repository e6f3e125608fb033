#!/usr/bin/env bash
# A small model of the flat worlds of Kang et al. (arXiv 2411.02385), and its rows under theirs: codec → latents →
# transformer, from nothing and then going on with given frames alone → `kinema evaluate --suite phyworld`. About two hours
# of two CPU cores. Every stage resumes where it stopped: to go on, run the script again.
# Usage: runs/phyworld_cpu.sh [FOLDER [--set SECTION.KEY=VALUE …]]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

out=${1:-runs/out/phyworld}
settings=(
  --preset nano
  --set worlds.families=uniform_motion,elastic_collision,parabola
  --set worlds.height=128 --set worlds.width=128 --set worlds.frames=33 --set worlds.fps=10 --set worlds.clips=4000
  --set codec.width=48 --set codec.latent_width=96 # discs on white
  --set text.width=64 --set text.depth=1 --set text.heads=1 # three sentences
  --set model.width=192 --set model.depth=6 --set model.heads=3 --set model.detail_width=0
  --set model.tracks=false --set train_model.tracks_share=0 --set planner.width=0 # the given frames say where balls go
  --set train_codec.steps=500 --set train_codec.batch=8 --set train_codec.ema_decay=0.99
  --set train_model.batch=16 --set train_model.checkpoint_every=50
)
first=( # how clips look and move
  --set flow.clean_first_share=0.1 --set flow.independent_share=0.5
  --set train_model.steps=400 --set train_model.image_steps=50 --set train_model.short_steps=100
)
onward=( # what the exam asks: five given frames are two clean latent frames
  --set flow.clean_first_share=0.8 --set flow.independent_share=0.2
  --set train_model.steps=560 --set train_model.image_steps=0 --set train_model.short_steps=0
  --set train_model.warmup_steps=20 --set train_model.ema_decay=0.99 --set train_model.validate_every=200
)

kinema train codec "${settings[@]}" "${@:2}" --out "$out/codec"
kinema train model "${settings[@]}" "${first[@]}" "${@:2}" --codec "$out/codec" --out "$out/model"
mkdir -p "$out/onward" && ln -sfn ../model/latents "$out/onward/latents" # the same clips
kinema train model "${settings[@]}" "${onward[@]}" "${@:2}" --codec "$out/codec" --init "$out/model/weights" --out "$out/onward"
kinema evaluate --suite phyworld --weights "$out/onward/weights" --out "$out/report" --update-card
