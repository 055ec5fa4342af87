"""The geometry once more, to 50 digits, by the formulas as they are printed: what the package is measured against.

Slow and independent on purpose: Möbius addition, distance and exponential map are the published quotients
without any rearrangement, parallel transport goes through the *definition* of gyration, and the hyperboloid
uses ``arcosh``. Points are one-dimensional sequences of floats, taken as exact. The printed formulas cancel: at
38 curvature radii the arguments of arcosh lose 33 digits and their squares twice that, so that 130 digits are
carried for 50 that are right.
"""

from __future__ import annotations

from collections.abc import Sequence

import mpmath
import numpy as np

mpmath.mp.dps = 130
Vector = list[mpmath.mpf]


def exact(x: Sequence[float] | np.ndarray) -> Vector:
    """Return floats as exact numbers."""
    return [mpmath.mpf(float(value)) for value in x]


def floats(x: Vector) -> np.ndarray:
    """Return numbers rounded to float64."""
    return np.array([float(value) for value in x])


def dot(u: Vector, v: Vector) -> mpmath.mpf:
    """Return the Euclidean inner product."""
    return mpmath.fsum(a * b for a, b in zip(u, v, strict=True))


def scale(r: mpmath.mpf, u: Vector) -> Vector:
    """Return ``r u``."""
    return [r * a for a in u]


def plus(u: Vector, v: Vector) -> Vector:
    """Return ``u + v``."""
    return [a + b for a, b in zip(u, v, strict=True)]


def length(u: Vector) -> mpmath.mpf:
    """Return the Euclidean norm."""
    return mpmath.sqrt(dot(u, u))


class Ball:
    """The Poincaré ball after Ganea, Bécigneul and Hofmann (2018) and Ungar."""

    def __init__(self, c: float) -> None:
        self.c = mpmath.mpf(float(c))
        self.root = mpmath.sqrt(self.c)

    def factor(self, x: Vector) -> mpmath.mpf:
        """Return the conformal factor."""
        return 2 / (1 - self.c * dot(x, x))

    def add(self, x: Vector, y: Vector) -> Vector:
        """Return the Möbius sum."""
        c, xy, xx, yy = self.c, dot(x, y), dot(x, x), dot(y, y)
        top = plus(scale(1 + 2 * c * xy + c * yy, x), scale(1 - c * xx, y))
        return scale(1 / (1 + 2 * c * xy + c**2 * xx * yy), top)

    def dist(self, x: Vector, y: Vector) -> mpmath.mpf:
        """Return the distance."""
        return 2 / self.root * mpmath.atanh(self.root * length(self.add(scale(-1, x), y)))

    def expmap(self, x: Vector, v: Vector) -> Vector:
        """Return the exponential map."""
        size = length(v)
        if size == 0:
            return x
        return self.add(x, scale(mpmath.tanh(self.root * self.factor(x) * size / 2) / (self.root * size), v))

    def logmap(self, x: Vector, y: Vector) -> Vector:
        """Return the logarithm."""
        m = self.add(scale(-1, x), y)
        size = length(m)
        if size == 0:
            return m
        return scale(2 / (self.root * self.factor(x)) * mpmath.atanh(self.root * size) / size, m)

    def ptransp(self, x: Vector, y: Vector, v: Vector) -> Vector:
        """Return the parallel transport, with ``gyr[a, b]v = -(a + b) + (a + (b + v))`` as it is defined."""
        size = length(v)
        if size == 0:
            return v
        # Gyration is linear, and defined on points: shorten v into the ball and lengthen the result.
        shrink = 1 / (2 * self.root * size)
        minus_x = scale(-1, x)
        inner = self.add(y, self.add(minus_x, scale(shrink, v)))
        turned = self.add(scale(-1, self.add(y, minus_x)), inner)
        return scale(self.factor(x) / self.factor(y) / shrink, turned)

    def lift(self, space: Vector) -> Vector:
        """Return the coordinates as they are."""
        return space

    tangent = staticmethod(lambda x, u: u)


class Hyperboloid:
    """The Lorentz model after Nickel and Kiela (2018); time coordinates are recomputed from space."""

    def __init__(self, c: float) -> None:
        self.c = mpmath.mpf(float(c))
        self.root = mpmath.sqrt(self.c)

    def lift(self, x: Vector) -> Vector:
        """Return the point with its time made exact."""
        return [mpmath.sqrt(1 / self.c + dot(x[1:], x[1:])), *x[1:]]

    def tangent(self, x: Vector, u: Vector) -> Vector:
        """Return the tangent vector with its time made exact."""
        return [dot(self.lift(x)[1:], u[1:]) / self.lift(x)[0], *u[1:]]

    def product(self, u: Vector, v: Vector) -> mpmath.mpf:
        """Return the Minkowski product."""
        return dot(u[1:], v[1:]) - u[0] * v[0]

    def dist(self, x: Vector, y: Vector) -> mpmath.mpf:
        """Return the distance."""
        x, y = self.lift(x), self.lift(y)
        return mpmath.acosh(max(mpmath.mpf(1), -self.c * self.product(x, y))) / self.root

    def expmap(self, x: Vector, v: Vector) -> Vector:
        """Return the exponential map."""
        x = self.lift(x)
        v = self.tangent(x, v)
        size = mpmath.sqrt(self.product(v, v))
        if size == 0:
            return x
        t = self.root * size
        return plus(scale(mpmath.cosh(t), x), scale(mpmath.sinh(t) / t, v))

    def logmap(self, x: Vector, y: Vector) -> Vector:
        """Return the logarithm."""
        x, y = self.lift(x), self.lift(y)
        w = plus(y, scale(self.c * self.product(x, y), x))
        size2 = self.product(w, w)
        return w if size2 <= 0 else scale(self.dist(x, y) / mpmath.sqrt(size2), w)

    def ptransp(self, x: Vector, y: Vector, v: Vector) -> Vector:
        """Return the parallel transport."""
        x, y = self.lift(x), self.lift(y)
        v = self.tangent(x, v)
        ratio = self.c * self.product(y, v) / (1 - self.c * self.product(x, y))
        return plus(v, scale(ratio, plus(x, y)))

    def to_origin(self, y: Vector, v: Vector) -> Vector:
        """Return the space part of ``v``, tangent at ``y``, carried to the origin."""
        origin = [1 / self.root, *(mpmath.mpf(0) for _ in y[1:])]
        return self.ptransp(y, origin, v)[1:]

    def from_origin(self, y: Vector, v: Vector) -> Vector:
        """Return the vector with space part ``v``, tangent at the origin, carried to ``y``."""
        origin = [1 / self.root, *(mpmath.mpf(0) for _ in y[1:])]
        return self.ptransp(origin, y, [mpmath.mpf(0), *v])


class Normal:
    """Normal coordinates by their definition: logarithms at the origin of the hyperboloid, vectors carried there."""

    tangent = staticmethod(lambda x, u: u)

    def __init__(self, c: float) -> None:
        self.sheet = Hyperboloid(c)
        self.c, self.root = self.sheet.c, self.sheet.root

    def on_sheet(self, x: Vector) -> Vector:
        """Return the point on the hyperboloid."""
        size = length(x)
        if size == 0:
            return [1 / self.root, *x]
        r = self.root * size
        return [mpmath.cosh(r) / self.root, *scale(mpmath.sinh(r) / r, x)]

    def from_sheet(self, p: Vector) -> Vector:
        """Return the normal coordinates of a point of the hyperboloid."""
        size = length(p[1:])
        return p[1:] if size == 0 else scale(mpmath.asinh(self.root * size) / (self.root * size), p[1:])

    def dist(self, x: Vector, y: Vector) -> mpmath.mpf:
        """Return the distance."""
        return self.sheet.dist(self.on_sheet(x), self.on_sheet(y))

    def expmap(self, x: Vector, v: Vector) -> Vector:
        """Return the exponential map."""
        p = self.on_sheet(x)
        return self.from_sheet(self.sheet.expmap(p, self.sheet.from_origin(p, v)))

    def logmap(self, x: Vector, y: Vector) -> Vector:
        """Return the logarithm."""
        p = self.on_sheet(x)
        return self.sheet.to_origin(p, self.sheet.logmap(p, self.on_sheet(y)))

    def ptransp(self, x: Vector, y: Vector, v: Vector) -> Vector:
        """Return the parallel transport."""
        p, q = self.on_sheet(x), self.on_sheet(y)
        return self.sheet.to_origin(q, self.sheet.ptransp(p, q, self.sheet.from_origin(p, v)))
