r"""The Poincaré ball of curvature :math:`-c` as pure functions.

Points are the vectors with :math:`c|x|^2 < 1`; the metric at ``x`` is :math:`\lambda_x^2` times the
Euclidean one, with :math:`\lambda_x = 2/\alpha_x` and :math:`\alpha_x = 1 - c|x|^2`. Every function takes
NumPy arrays or tensors of a Keras backend, points of shape ``(..., d)``, and the keyword ``c >= 0``: a
number, or an array that broadcasts against ``(..., 1)`` (``(n, 1)`` is one curvature a point). At ``c = 0``
the formulas are those of flat space with the metric 4 (distances are twice the Euclidean ones), and they
are differentiable in ``c`` there.

The formulas are the published ones rearranged so that nothing cancels. With :math:`s = y - x` (Möbius:
:math:`s = x + y`),

.. math::

    x \oplus y = \frac{\alpha_x s + c|s|^2 x}{\alpha_x\alpha_y + c|s|^2},\qquad
    d(x, y) = \frac{2}{\sqrt c}\operatorname{arsinh}\sqrt{z},\quad z = \frac{c|y-x|^2}{\alpha_x\alpha_y}.

References ---------- [1] O.-E. Ganea, G. Bécigneul, T. Hofmann: Hyperbolic neural networks. NeurIPS 2018.
[2] A. A. Ungar: A gyrovector space approach to hyperbolic geometry. Morgan & Claypool 2008. [3] M. Nickel,
D. Kiela: Poincaré embeddings for learning hierarchical representations. NeurIPS 2017. [4] M. Nickel, D.
Kiela: Learning continuous hierarchies in the Lorentz model of hyperbolic geometry. ICML 2018. [5] I. Chami,
R. Ying, C. Ré, J. Leskovec: Hyperbolic graph convolutional neural networks. NeurIPS 2019. [6] M. Law, R.
Liao, J. Snell, R. Zemel: Lorentzian distance learning for hyperbolic representations. ICML 2019.
"""

from __future__ import annotations

from hyperperturb.manifolds._ball_gyro import centroid, midpoint, mobius_add, mobius_matvec, mobius_scalar_mul
from hyperperturb.manifolds._ball_maps import (
    expmap,
    expmap0,
    geodesic,
    logmap,
    logmap0,
    ptransp,
    ptransp0,
    retr,
)
from hyperperturb.manifolds._ball_metric import (
    conformal_factor,
    dist,
    dist0,
    egrad2rgrad,
    inner,
    norm,
    pairwise_dist,
    proju,
    projx,
    to_lorentz,
    to_normal,
)

__all__ = [
    "centroid",
    "conformal_factor",
    "dist",
    "dist0",
    "egrad2rgrad",
    "expmap",
    "expmap0",
    "geodesic",
    "inner",
    "logmap",
    "logmap0",
    "midpoint",
    "mobius_add",
    "mobius_matvec",
    "mobius_scalar_mul",
    "norm",
    "pairwise_dist",
    "proju",
    "projx",
    "ptransp",
    "ptransp0",
    "retr",
    "to_lorentz",
    "to_normal",
]
