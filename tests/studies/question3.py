#!/usr/bin/env python3
"""The study of question 3 on a few rows of three tasks: question3.py PROGRAM"""
from quick_study import check

check("question3", ("babi", "scitail", "gptnli"), (), ("tuned/seqft", "streams/short-ncft-1"),
      "folders/streams-short-seqft-0/stages/babi-*/training/delta.safetensors",
      ("## What agrees with the paper", "### quick1, quick2", "### quick2", "## Forgetting and transfer",
       "## Retention after every stage", "## Every pair of the main methods", "## What it costs", "## One stream of each",
       "## Settings", "## Commands"),
      ("retention-short", "retention-long"), ("streams/short-seqft-0.json",), "folders/streams-short-seqft-0")
