"""The sentence that a report begins with."""

from __future__ import annotations

from dataclasses import dataclass

MODEL = "hyperperturb"
"""Name of the predictor that is judged."""

LABELS = {
    MODEL: "HyperPerturb",
    "no_change": "No change",
    "training_mean": "Mean of the training perturbations",
    "additive": "Sum of the single effects",
    "ridge_pca": "Ridge on PCA embeddings",
    "network_kernel_ridge": "Network kernel ridge",
    "network_neighbours": "Nearest neighbours in the network",
    "effect_neighbours": "Nearest neighbours in effect space",
    "random_embedding": "Genes dealt out at random",
    "rewired_network": "Rewired network",
    "flat_twin": "Flat twin",
    "ceiling": "Ceiling (the screen repeated)",
}
"""Name of a predictor → what people call it."""

CEILING = "ceiling"
"""Name of what a repetition of the experiment reaches; no predictor."""

VARIANTS = ("random_embedding", "rewired_network", "flat_twin")
"""The model itself with one thing taken away: they tell what that thing is worth and are no simple baselines."""


HELD_OUT = {
    "genes": "on genes it never saw",
    "combinations": "on combinations it never saw",
    "leave-one-out": "on perturbations it never saw, left out one by one,",
    "file": "on the perturbations that your folds hold out",
}
"""What is held out → where the model was tried, in words."""


@dataclass(frozen=True)
class Verdict:
    """The model's error beside that of the best simple baseline, with the paired interval of the difference.

    Attributes
    ----------
    model_error, baseline_error
        Pooled squared error relative to no change.
    baseline
        Name of the best simple baseline.
    lead, lead_low, lead_high
        ``baseline_error`` − ``model_error`` and its paired 95 % interval.
    n_perturbations
        Held-out perturbations.
    held_out
        A key of :data:`HELD_OUT`.
    """

    model_error: float
    baseline: str
    baseline_error: float
    lead: float
    lead_low: float
    lead_high: float
    n_perturbations: int
    held_out: str = "genes"

    @property
    def ahead(self) -> bool:
        """True only where the paired 95 % interval of the lead excludes zero."""
        return self.lead_low > 0

    @property
    def sentence(self) -> str:
        """One plain sentence for people."""
        name = LABELS.get(self.baseline, self.baseline).lower()
        figures = (
            f"{HELD_OUT[self.held_out]} its squared error is {self.model_error:.2f} of predicting no change, "
            f"against {self.baseline_error:.2f} for the best of them ({name}); the difference is "
            f"{self.lead:.3f} (95 % interval {self.lead_low:.3f} to {self.lead_high:.3f}, "
            f"{self.n_perturbations} perturbations)."
        ).replace(" -", " −")
        if self.ahead:
            return f"Yes, the model beats the simple baselines on your data: {figures}"
        if self.lead_high < 0:
            return f"No, the model is behind the best simple baseline on your data: {figures}"
        return f"No, the model does not clearly beat the simple baselines on your data: {figures}"
