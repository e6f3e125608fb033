#!/usr/bin/env bash
# A small model of the flat worlds of Kang et al. (arXiv 2411.02385), and its rows under theirs: codec → latents →
# transformer → `kinema evaluate --suite phyworld`. About three hours on two CPU cores. Every stage resumes where it
# stopped: to go on, run the script again. Usage: runs/phyworld_cpu.sh [FOLDER [--set SECTION.KEY=VALUE …]]
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PWD/.venv/bin:$PATH" # made by `make video`

out=${1:-runs/out/phyworld}
settings=(
  --preset nano
  --set worlds.families=uniform_motion,elastic_collision,parabola
  --set worlds.height=128 --set worlds.width=128 --set worlds.frames=33 --set worlds.fps=10 --set worlds.clips=6000
  --set train_codec.steps=1000 --set train_codec.batch=4
  --set flow.clean_first_share=0.1 --set flow.independent_share=0.5 # five given frames are two clean latent frames
  --set train_model.steps=3000 --set train_model.batch=8
  "${@:2}"
)

kinema train codec "${settings[@]}" --out "$out/codec"
kinema train model "${settings[@]}" --codec "$out/codec" --out "$out/model"
kinema evaluate --suite phyworld --weights "$out/model/weights" --out "$out/report" --update-card
