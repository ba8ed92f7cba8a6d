#!/bin/bash
# interrupt.sh SIGNAL[,SIGNAL] CONDITION COMMAND...: starts COMMAND, sends it the signals once it
# handles them and CONDITION (a shell command) holds, and ends with its exit code. What COMMAND
# writes to standard error stays there. A second signal follows half a second after the first.
set -m  # a shell without job control starts what is behind an & with SIGINT ignored
signals=${1//,/ } condition=$2
shift 2
"$@" &
pid=$!
running() { kill -0 "$pid" 2>/dev/null; }
# The last digit of the mask of caught signals holds SIGHUP and SIGINT.
until ! running || { grep -q '^Name:[[:space:]]*taskneuron' "/proc/$pid/status" && grep -q '^SigCgt:.*[37bf]$' "/proc/$pid/status"; }; do
  sleep 0.02
done 2>/dev/null
until ! running || eval "$condition"; do sleep 0.02; done 2>/dev/null
for signal in $signals; do
  kill "-$signal" "$pid" 2>/dev/null
  running && sleep 0.5
done
wait "$pid"
