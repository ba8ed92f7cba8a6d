#!/usr/bin/env python3
"""Ranks of different LibTorches end within half a minute, and one says what each has to be: versions.py PROGRAM OTHER_PROGRAM"""
import pathlib
import sys
import tempfile
import time

from world import MODEL, TASKS, World

failed = False
with tempfile.TemporaryDirectory(prefix="taskneuron_versions_") as folder:
    rest = ["detect", str(MODEL), "--task", str(TASKS / "scitail"), "--limit", "4", "--quiet", "--out", str(pathlib.Path(folder) / "scores.safetensors")]
    programs = [str(pathlib.Path(program).resolve()) for program in sys.argv[1:3]]
    for ranks in (programs, programs[::-1]):
        began = time.time()
        codes, _, errors = World([[program, *rest] for program in ranks]).end(60)
        told = [line for error in errors for line in error.splitlines()]
        right = codes == [1, 1] and time.time() - began < 30 and told and any("LibTorch" in line for line in told)
        print(f"{'passed' if right else 'FAILED'} in {time.time() - began:.0f} s: {codes} {told}")
        failed = failed or not right
sys.exit(failed)
