"""How good the predictions are: splits by gene, metrics, cross-validation beside the baselines, the verdict."""

from __future__ import annotations
