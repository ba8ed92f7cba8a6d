#!/usr/bin/env python3
"""The study of question 2 on a few rows of four tasks: question2.py PROGRAM"""
from quick_study import check

check("question2", ("babi", "scitail", "e2e", "commongen"), (), ("sweeps/generation.run", "kinds/test-private"),
      "models/babi/model.safetensors",
      ("## What agrees with the paper", "## The share of units that are trained", "### Across types", "## Trained overlap",
       "## Overlap of tasks", "## Similarity of parameters", "## Does it go with performance?", "## Forecast",
       "### Switched off: are they needed?", "### Are they specific?", "### Trained: do they learn more?", "## Settings",
       "## Commands"),
      ("classification-together-specialization", "generation-alone-generalization", "overlap", "matrix"), ("matrix/babi.json",))
