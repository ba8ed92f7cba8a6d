#!/usr/bin/env python3
"""The study of question 1 on a few rows of two tasks: question1.py PROGRAM"""
from quick_study import ROOT, check

check("question1", ("babi", "e2e"), ("--text", str(ROOT / "README.md"), "--templates", "olora", "default"),
      ("prompts/olora", "ablated/main-classification", "tested/counted-matched"),
      "trained/babi-own-seed1/delta.safetensors",
      ("## What agrees with the paper", "## Which tasks count", "## Settings", "## Units off", "### Side effect", "### Dose",
       "aggregate, scope, site", "## Units trained", "## Commands", "at its mean over unrelated text"),
      ("off-value", "off-loss", "trained-value", "trained-loss"), ("predicted/own-seed1-babi.jsonl",))
