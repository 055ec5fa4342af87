"""The isometries of the disk, and what the component is made of."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from hyperperturb.errors import HyperPerturbError

ROOT = Path(__file__).resolve().parents[3]
SCRIPTS = ROOT / "app" / "components" / "poincare_disk"


@pytest.mark.browser
def test_the_geometry_is_right(chromium):
    page = chromium.new_page()
    page.add_script_tag(content=(SCRIPTS / "geometry.js").read_text(encoding="utf-8"))
    worst = page.evaluate(
        """() => {
      let seed = 1;
      const random = () => ((seed = (seed * 16807) % 2147483647) / 2147483647);
      const point = () => {
        const r = Math.sqrt(random()) * 0.999, a = random() * 7;
        return [r * Math.cos(a), r * Math.sin(a)];
      };
      const distance = (p, q) => {
        const d2 = (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2;
        return Math.asinh(Math.sqrt(d2 / ((1 - p[0] ** 2 - p[1] ** 2) * (1 - q[0] ** 2 - q[1] ** 2))));
      };
      const worst = { taken: 0, distance: 0, home: 0, ring: 0, rounds: 0 };
      let m = [1, 0, 0, 0];
      for (let k = 0; k < 2000; k++) {
        const p = point(), q = point(), z = point(), w = point();
        const t = translationTaking(...p, ...q);
        const image = moveTo(t, ...p);
        worst.taken = Math.max(worst.taken, Math.hypot(image[0] - q[0], image[1] - q[1]));
        const turned = compose(t, rotation(random() * 6));
        const before = distance(z, w), after = distance(moveTo(turned, ...z), moveTo(turned, ...w));
        worst.distance = Math.max(worst.distance, Math.abs(before - after) / (1 + before));
        const whole = partOfTheWayHome(turned, 1);
        const there = moveTo(whole, ...z), wanted = moveTo(turned, ...z);
        worst.home = Math.max(worst.home, Math.hypot(there[0] - wanted[0], there[1] - wanted[1]));
        const rho = 0.2 + 3 * random(), angle = random() * 7;
        const on = moveTo(t, Math.tanh(rho / 2) * Math.cos(angle), Math.tanh(rho / 2) * Math.sin(angle));
        const [cx, cy, r] = hyperbolicCircle(...trueCentre(t), Math.tanh(rho / 2));
        worst.ring = Math.max(worst.ring, Math.abs(Math.hypot(on[0] - cx, on[1] - cy) - r));
        const step = point();
        m = compose(translationBy(step[0] * 0.3, step[1] * 0.3), m);
        if (Math.hypot(...trueCentre(m)) > 0.999) m = [1, 0, 0, 0];
        worst.rounds = Math.max(worst.rounds, Math.abs(m[0] ** 2 + m[1] ** 2 - m[2] ** 2 - m[3] ** 2 - 1));
      }
      return worst;
    }"""
    )
    page.close()
    assert worst["taken"] < 1e-9
    assert worst["distance"] < 1e-6
    assert worst["home"] < 1e-6
    assert worst["ring"] < 1e-9
    assert worst["rounds"] < 1e-9


def test_a_table_without_the_column_is_refused():
    from app.components.poincare_disk import poincare_disk

    table = pd.DataFrame({"gene": ["A"], "x": [0.0], "y": [0.0], "degree": [1]})
    with pytest.raises(HyperPerturbError, match="no column 'sensitivity'") as caught:
        poincare_disk(table, color="sensitivity", size="degree", key="k")
    assert "degree" in str(caught.value.hint)


def test_every_script_is_sent():
    from app.components import poincare_disk as module

    assert {path.name for path in SCRIPTS.glob("*.js")} == set(module._SCRIPTS)
