#!/usr/bin/env bash
# Finds the neurons of two tasks in the shipped model, and switches them off.
set -euo pipefail

program=${1:?usage: demo.sh PROGRAM}
root=$(cd "$(dirname "$0")/.." && pwd)
model=$root/examples/models/mini
tasks=("$root/examples/tasks/scitail" "$root/examples/tasks/babi")
out=$root/build/demo
mkdir -p "$out"

echo "1. Which FFN units do the train splits of two tasks use? (taskneuron detect)"
"$program" detect "$model" --task "${tasks[@]}" --out "$out" --force
echo
echo "2. How much do their top 10% have in common? (taskneuron compare)"
"$program" compare "$out/scitail.safetensors" "$out/babi.safetensors"
echo
echo "3. What do the test splits lose when units are switched off? (taskneuron ablate)"
"$program" ablate "$model" --task "${tasks[@]}" \
  --scores "$out/scitail.safetensors" "$out/babi.safetensors" --top 10%
cat <<EOF

How to read it. "none" is the model as it is; "random" switches off as many units of every layer as
the task's own set has, five times over (± is the spread over the five); "its own" switches off the
task's top 10%. "its own − random" is the difference with its 95% interval, p how often chance alone
gives as much. The two matrices show what each task loses with each task's units off; units are
specific where the diagonal stands out (with two tasks no test can show it: see docs/results for
twelve). The loss is the mean answer loss in nats: it says how sure the model is of the right answer.
This model has 9 million parameters and guesses on both tasks, so its accuracy is near chance with
and without its neurons: read the loss, and expect accuracy to speak in models that can do the task.

Score files: $out (docs/formats/scores.md). Next: taskneuron select --help, taskneuron evaluate --help.
EOF
