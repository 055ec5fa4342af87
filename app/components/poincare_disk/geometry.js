// Isometries of the Poincaré disk as SU(1,1) matrices.
//
// w = (α z + β) / (β̄ z + ᾱ) with |α|² − |β|² = 1; kept as [Re α, Im α, Re β, Im β]. Composition is a matrix
// product, so a view that was moved a thousand times is still four numbers, renormalised after every move.

const IDENTITY = Object.freeze([1, 0, 0, 0]);
const RIM = 0.9995; // a pointer on the rim would stand for a point at infinity
const FARTHEST = 1 - 1e-6; // how far the true centre may be pushed away (distance 14.5)

function compose(a, b) {
  // a ∘ b: first b, then a.
  const m = [
    a[0] * b[0] - a[1] * b[1] + a[2] * b[2] + a[3] * b[3],
    a[0] * b[1] + a[1] * b[0] + a[3] * b[2] - a[2] * b[3],
    a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
    a[0] * b[3] + a[1] * b[2] + a[3] * b[0] - a[2] * b[1],
  ];
  const determinant = m[0] * m[0] + m[1] * m[1] - m[2] * m[2] - m[3] * m[3];
  if (!(determinant > 0)) return a.slice();
  const scale = 1 / Math.sqrt(determinant);
  return [m[0] * scale, m[1] * scale, m[2] * scale, m[3] * scale];
}

function moveTo(m, x, y) {
  // The image of one point. Many points are moved without allocation in Points.move.
  const nr = m[0] * x - m[1] * y + m[2];
  const ni = m[0] * y + m[1] * x + m[3];
  const dr = m[2] * x + m[3] * y + m[0];
  const di = m[2] * y - m[3] * x - m[1];
  const q = 1 / (dr * dr + di * di);
  return [(nr * dr + ni * di) * q, (ni * dr - nr * di) * q];
}

function translationBy(cx, cy) {
  // t_c(z) = (z + c) / (1 + c̄ z): takes the middle of the picture to c without turning it.
  const scale = 1 / Math.sqrt(Math.max(1e-15, 1 - cx * cx - cy * cy));
  return [scale, 0, cx * scale, cy * scale];
}

function translationTaking(px, py, qx, qy) {
  // The one t_c with t_c(p) = q. From q (1 + c̄ p) = p + c follows c = ((q−p) + q p conj(q−p)) / (1 − |p|²|q|²).
  const dx = qx - px;
  const dy = qy - py;
  const sx = qx * px - qy * py;
  const sy = qx * py + qy * px;
  const scale = 1 / Math.max(1e-15, 1 - (px * px + py * py) * (qx * qx + qy * qy));
  return translationBy((dx + sx * dx + sy * dy) * scale, (dy + sy * dx - sx * dy) * scale);
}

function rotation(angle) {
  return [Math.cos(angle / 2), Math.sin(angle / 2), 0, 0];
}

function trueCentre(m) {
  // Where the model's middle (0, 0) has gone: β / ᾱ.
  return moveTo(m, 0, 0);
}

function turn(m) {
  // m = t_a ∘ R(θ) with a = trueCentre(m); this is θ.
  return 2 * Math.atan2(m[1], m[0]);
}

function partOfTheWayHome(m, left) {
  // The isometry after all but the fraction `left` of the way home: along the geodesic, unturning evenly.
  const [ax, ay] = trueCentre(m);
  const r = Math.min(Math.hypot(ax, ay), FARTHEST);
  const scale = r > 1e-12 ? Math.tanh(Math.atanh(r) * left) / r : 0;
  let angle = turn(m) % (2 * Math.PI);
  if (angle > Math.PI) angle -= 2 * Math.PI;
  if (angle < -Math.PI) angle += 2 * Math.PI;
  return compose(translationBy(ax * scale, ay * scale), rotation(angle * left));
}

function intoDisk(x, y, limit = RIM) {
  const r = Math.hypot(x, y);
  return r <= limit ? [x, y] : [(x * limit) / r, (y * limit) / r];
}

function hyperbolicCircle(wx, wy, t) {
  // A circle of hyperbolic radius 2 artanh(t) around w is a Euclidean circle: its centre and radius.
  const w2 = wx * wx + wy * wy;
  const scale = 1 / (1 - t * t * w2);
  return [wx * (1 - t * t) * scale, wy * (1 - t * t) * scale, t * (1 - w2) * scale];
}

function middleOf(px, py, qx, qy) {
  // The point half way along the geodesic p–q: q as seen from p, halved, and back.
  const [x, y] = moveTo(translationBy(-px, -py), qx, qy);
  const r = Math.min(Math.hypot(x, y), FARTHEST);
  const scale = r > 1e-12 ? Math.tanh(Math.atanh(r) / 2) / r : 0;
  return moveTo(translationBy(px, py), x * scale, y * scale);
}

function traceGeodesic(path, px, py, qx, qy, cx, cy, radius) {
  // The geodesic p–q lies on the circle through both that meets the rim at right angles: centre o with
  // o·p = (1+|p|²)/2 and o·q = (1+|q|²)/2. Near-diameters are drawn straight (the circle grows without bound).
  const determinant = px * qy - py * qx;
  path.moveTo(cx + px * radius, cy + py * radius);
  if (Math.abs(determinant) > 1e-4) {
    const hp = (1 + px * px + py * py) / 2;
    const hq = (1 + qx * qx + qy * qy) / 2;
    const ox = (hp * qy - hq * py) / determinant;
    const oy = (hq * px - hp * qx) / determinant;
    const r = Math.sqrt(Math.max(0, ox * ox + oy * oy - 1));
    if (r < 60) {
      const from = Math.atan2(py - oy, px - ox);
      const to = Math.atan2(qy - oy, qx - ox);
      let sweep = to - from;
      if (sweep > Math.PI) sweep -= 2 * Math.PI;
      if (sweep < -Math.PI) sweep += 2 * Math.PI;
      path.arc(cx + ox * radius, cy + oy * radius, r * radius, from, from + sweep, sweep < 0);
      return;
    }
  }
  path.lineTo(cx + qx * radius, cy + qy * radius);
}
