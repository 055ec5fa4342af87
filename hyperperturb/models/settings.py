"""The settings of a training, their limits and the three presets."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingSettings(BaseModel):
    """What a training may be told; every default is one that was measured to work.

    Examples
    --------
    >>> TrainingSettings(epochs=5).epochs
    5
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding_dim: int = Field(16, ge=2, le=256, description="Dimensions of the hyperbolic space.")
    epochs: int = Field(30, ge=1, le=10_000, description="Passes over the genes, and over the cells.")
    batch_size: int = Field(256, ge=1, le=65_536, description="Cells in a step of the cell heads.")
    learning_rate: float = Field(3e-3, gt=0, le=1, description="Step size of the cell heads.")
    point_learning_rate: float = Field(
        0.1, gt=0, le=10, description="Riemannian step size of the gene points, in hyperbolic distance."
    )
    curvature: float = Field(
        1.0,
        gt=0,
        le=100,
        description="Curvature magnitude that learning starts from (space has −c); where it ends is learned.",
    )
    hidden_dim: int = Field(32, ge=1, le=4096, description="Width of the cell encoder's hidden layer.")
    max_genes: int = Field(
        4000,
        ge=10,
        le=100_000,
        description="Largest number of genes in the universe; 4,000 of STRING's 10,335 gave the error of all.",
    )
    max_cells: int = Field(
        20_000, ge=10, le=10_000_000, description="Perturbed cells the cell heads learn from (drawn evenly)."
    )
    validation_split: float = Field(0.2, gt=0, lt=0.9, description="Share of cells and gene pairs held out.")
    folds: int = Field(5, ge=2, le=20, description="Folds of the held-out-gene score.")
    seed: int = Field(0, ge=0, description="Seed of every random choice.")
    cell_heads: bool = Field(True, description="Learn the policy and value heads on cells.")
    annealing: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Field that quantum-inspired annealing of the gene points starts from; 0 is off, because it "
        "lowered the validation loss by 1 % at most.",
    )
    stdp: float = Field(
        0.0,
        ge=0,
        le=10,
        description="Strength of the STDP-inspired rule that thins the cell encoder; 0 is off, because it makes the "
        "encoder smaller, not better.",
    )
    curriculum: bool = Field(
        False,
        description="Show the cell heads easy perturbations first; off, because shuffled order learned faster.",
    )
    jit_compile: bool = Field(
        False,
        description="Compile the training steps with XLA: faster steps for some seconds of compiling, which pays in "
        "long trainings.",
    )
    strategy: Literal["auto", "default", "mirrored", "multiworker"] = Field(
        "auto",
        description="Devices that train: auto (all GPUs where there are several), default (one), mirrored (all of "
        "this machine), multiworker (the machines in TF_CONFIG).",
    )


PRESETS: dict[str, TrainingSettings] = {
    "quick": TrainingSettings(epochs=10, max_genes=2000, max_cells=8000),
    "standard": TrainingSettings(),
    "thorough": TrainingSettings(
        epochs=100, max_genes=12_000, max_cells=100_000, learning_rate=1e-3, jit_compile=True
    ),
}
"""``quick`` answers within a minute, ``standard`` is the default, ``thorough`` is for a lunch break."""
