"""Some steps of a run that were taken in one call, as the host sees them."""

import dataclasses
from typing import Any, NamedTuple

import numpy as np

from s2sjax.runs.progress import Progress
from s2sjax.training.state import StepMetrics


class Dispatch(NamedTuple):
    """What a call reported; columns on the host."""

    steps: StepMetrics  # of each, [N]
    param_norm: float  # of the parameters after the last
    seconds: float  # that the call took

    def divergence(self, before: int) -> str:
        """Where training left the finite numbers; empty where it did not.

        Args:
          before: steps that were taken before this call.
        """
        steps = self.steps
        finite = np.isfinite(steps.loss) & np.isfinite(steps.grad_norm)
        finite[-1] &= np.isfinite(self.param_norm)
        if finite.all():
            return ""
        index = int(np.argmin(finite))
        told = (
            f"training diverged at step {before + index + 1}: loss "
            f"{steps.loss[index]}, gradient norm {steps.grad_norm[index]}"
        )
        if index:
            told += f" ({steps.grad_norm[index - 1]:.3g} a step earlier)"
        if index == len(finite) - 1 and not np.isfinite(self.param_norm):
            told += f", norm of the parameters {self.param_norm}"
        return told

    def added_to(self, progress: Progress) -> Progress:
        """The progress after these steps."""
        return dataclasses.replace(
            progress,
            loss=progress.loss + float(self.steps.loss.sum(dtype=np.float64)),
            tokens=progress.tokens + float(self.steps.tokens.sum(dtype=np.float64)),
            seconds=progress.seconds + self.seconds,
        )

    def line(self, progress: Progress, epoch: float | None) -> dict[str, Any]:
        """The metrics of training after these steps.

        Args:
          progress: with all steps since the last such line.
          epoch: times that a finite set has been gone through.
        """
        values = {
            "loss": progress.loss / max(progress.tokens, 1),
            "grad_norm": float(self.steps.grad_norm[-1]),
            "param_norm": self.param_norm,
            "learning_rate": float(self.steps.learning_rate[-1]),
            "seconds": round(progress.seconds, 3),
        }
        return values if epoch is None else {**values, "epoch": epoch}
