#!/usr/bin/env bash
# Trains the shipped model on two tasks, finds the neurons of each, and switches them off.
set -euo pipefail

program=${1:?usage: demo.sh PROGRAM}
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
case "$program" in /*) ;; *) program=./$program ;; esac
model=examples/models/mini
tasks=(examples/tasks/dbpedia examples/tasks/e2e)
out=build/demo
rm -rf "$out"
mkdir -p "$out"
exec 3>&1

# run COMMAND...: shows the command as a reader would type it, then runs it.
run() {
  echo "   \$ taskneuron $*" | fold -s -w 108 | sed -e '2,$s/^/       /' -e '$!s/ *$/ \\/' >&3
  "$program" "$@"
}

echo
echo "1. Fine-tune a model of 9 million parameters on two tasks: what kind of thing a text is about (dbpedia), and"
echo "   a restaurant's facts as a sentence (e2e). About half a minute on two cores."
run train "$model" --task "${tasks[@]}" --full --lr 1e-3 --epochs 2 --evaluate none --out "$out/model" >"$out/train.txt"
echo
echo "2. Which of its FFN neurons does each task use? (gradient times activation, over the training rows)"
run detect "$out/model" --task "${tasks[@]}" --out "$out/scores" >"$out/detect.txt"
echo
echo "3. Switch off the top tenth of one task, of the other, and as many at random in the same layers."
run ablate "$out/model" --task "${tasks[@]}" --scores "$out/scores/dbpedia.safetensors" "$out/scores/e2e.safetensors" \
  --top 10% --limit 60 --random-seeds 19 --json >"$out/ablate.json"
echo
python3 scripts/demo_summary.py "$out/ablate.json"
cat <<EOF

Everything is in $out: model/ (a Hugging Face folder), scores/, ablate.json.
Next: the same with a task of your own (README.md, "Your own task"); fewer neurons (taskneuron ablate --top 1% 3%);
train those of one task alone (taskneuron train --set); a whole study (docs/results/question1.md).
EOF
