"""Words and numbers as people read them: three significant digits, thin spaces, plurals, the glossary."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

THIN = "\u202f"  # a narrow space that does not break: 20 729 stays on one line

MODES = {
    "knockout": "Knockout (the gene is cut)",
    "knockdown": "Knockdown (the gene is turned down)",
    "activation": "Activation (the gene is turned up)",
}
HAPPENS = {"knockout": "goes", "knockdown": "is turned down", "activation": "is turned up"}
HAPPENS_PLURAL = {"knockout": "go", "knockdown": "are turned down", "activation": "are turned up"}

GLOSSARY = {
    "screen": "Cells by genes, with one label per cell that says which gene was perturbed in it.",
    "perturbation": "What was done to a cell: one or more target genes knocked out, turned down or turned up.",
    "control": "The cells without an effective intervention. Every effect is measured against them.",
    "effect": "Mean of log(1 + counts per 10 000) over the perturbed cells minus the same over the control cells, "
    "in natural-log units: +0.69 is twice as much, −0.69 half.",
    "response genes": "The measured genes that effects are predicted for.",
    "universe": "The response genes, the perturbed genes and the network genes that connect them.",
    "network": "A weighted graph of genes: which genes work together. It carries what is known beyond this screen.",
    "support": "How much the data and the network say about a gene. Without support there is no prediction.",
    "baseline": "What a trivial predictor reaches, such as the mean effect of the other perturbations.",
    "ceiling": "What a replicate of the experiment would reach: how well one half of the cells predicts the other.",
    "scaled score": "0 is the mean of the training perturbations, 1 the ceiling; empty where the ceiling is not "
    "clearly above that mean.",
    "twin": "The same model in flat space, with the same dimensions, steps and settings. A claim that curvature helps "
    "is made only where the paired interval excludes zero.",
    "left out": "Predicted without any perturbation that shares a gene with it; the few kernel parameters are those of "
    "the run. The bars are 90 % intervals, of prediction and measurement together.",
    "map": "UMAP: cells of like expression lie together; distances between groups and their sizes mean little.",
    "policy space": "The hyperbolic space in which the model compares cells with perturbations, seen from the middle "
    "of the controls: the two directions in which the labels’ means differ most. Rings are hyperbolic distances.",
    "escaped": "A perturbed cell that looks like a control: probably it has the guide, but not the effect. Judged on "
    "the one axis that tells the perturbation from the controls, learned without the cell, by a mixture of controls "
    "and changed cells.",
    "named": "The perturbation that the model holds the likeliest for a cell. It was trained on these cells, so it "
    "agrees with their labels more often than on new ones.",
    "training curves": "Validation is what the model has not learned from: where it no longer falls, more epochs do "
    "not help. Annealing field Γ: the size of the noise that lets gene points leave a poor place, decaying to none. "
    "Weights in use: the share of the cell encoder that the STDP rule leaves. Perturbations admitted: how far the "
    "curriculum is.",
    "run": "One training, with all that is needed to use it, judge it and repeat it.",
    "energy distance": "How far the cells of a perturbation are from the control cells, on 50 principal components: "
    "twice the mean distance between them minus the mean distances within each (not squared).",
    "by chance": "The energy distance to expect on average when the same cells are dealt out at random. It is larger "
    "for fewer cells.",
    "guide agreement": "Mean correlation of the effects of a perturbation's guides; beside it what the noise of so "
    "many cells would leave of it if all guides did the same.",
    "strength": "Energy distance between perturbed and control cells that the predicted effect amounts to: twice the "
    "sum of its squares over the response genes.",
    "interaction": "What a combination does beyond the sum over its genes, in shares of that sum: below 0 "
    "the genes do less together, above 0 more.",
    "protein level": "Antibody counts as centred log-ratios of each cell: the logarithm of a count (+ 1) minus its "
    "mean over the antibodies of the cell. An effect is a difference of such levels, relative to the other antibodies.",
    "within batches": "Cells of one batch were handled alike. Compared with the controls of their own batch, what sets "
    "batches apart does not look like an effect. It costs precision where a batch has few controls: worth choosing "
    "where perturbed cells and controls are spread differently over the batches.",
    "mode": "What the intervention does to its target gene: a knockout cuts it, a knockdown turns it down, an "
    "activation turns it up.",
    "standard error": "How uncertain the value is: about two thirds of repeats fall within one standard error.",
    "centrality": "How much of the network passes through a gene; hubs have many and strong neighbours.",
    "radius": "Hyperbolic distance from the middle of the disk. Hubs sit near 0, the periphery far out.",
    "hyperbolic distance": "Length of the shortest way between two genes in the curved space of the model, which has "
    "more dimensions than the picture. Equal lengths look shorter towards the rim.",
    "sensitivity": "How strongly a measured gene answers to the screen's perturbations: root mean square of its effect "
    "over all that do not target it, the noise of the measurement taken off.",
    "fidelity": "How true the picture is to the model's space. Rank correlation: between the distances of genes in "
    "the two. Trustworthiness: 1 less a penalty for neighbours in the picture that are far apart in the model. "
    "Neighbours kept: share of a gene's nearest genes in the model that are also among its nearest in the picture. "
    "1 is perfect. UMAP was given the same distances; it does not keep a gene's distance from the middle, which the "
    "disk keeps exactly.",
    "inward": "The nearest genes that lie closer to the middle: what the gene seems to hang from, its likely upstream.",
    "outward": "The nearest genes that lie further out: what seems to hang from the gene, its likely downstream.",
    "community": "A group of genes with more links among themselves than to the rest of the network.",
    "curvature": "How strongly the space is bent. More curvature leaves more room towards the rim.",
}


def count(value: int | float | None) -> str:
    """A whole number with thin spaces in its thousands; a dash for a missing one."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{round(value):,}".replace(",", THIN)


def number(value: float | None, digits: int = 3) -> str:
    """A measured number with `digits` significant digits, a true minus sign and thin spaces."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(float(f"{value:.{digits - 1}e}"))))
    if exponent < -4 or exponent > 8:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return f"{mantissa} × 10^{int(power)}".replace("-", "−")
    decimals = max(digits - 1 - exponent, 0)
    rounded = round(value, digits - 1 - exponent)
    return f"{rounded:,.{decimals}f}".replace(",", THIN).replace("-", "−")


def signed(value: float | None, digits: int = 3) -> str:
    """As `number`, with the plus sign written."""
    text = number(value, digits)
    return f"+{text}" if value is not None and math.isfinite(value) and value > 0 else text


def plural(value: int, singular: str, more: str | None = None) -> str:
    """A count with its noun: '1 gene', '2 386 cells'."""
    return f"{count(value)} {singular if value == 1 else more or singular + 's'}"


def ordinal(value: int) -> str:
    """A place in a line: 'first' to 'tenth', then '11th', '12th', '21st'."""
    words = ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"]
    if 1 <= value <= len(words):
        return words[value - 1]
    ending = "th" if value % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(value % 10, "th")
    return f"{count(value)}{ending}"


def listing(items: Iterable[str], *, last: str = "and", limit: int = 6) -> str:
    """Names in a sentence: 'A', 'A and B', 'A, B and C', 'A, B, C and 12 more'."""
    names = list(items)
    if len(names) > limit:
        names = [*names[: limit - 1], f"{count(len(names) - limit + 1)} more"]
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {last} {names[-1]}"


def halves(entries: Sequence[tuple[str, str]]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Words and what is said of them in two columns of about the same length, the order kept."""
    lengths = [
        len(said) + 120 for _, said in entries
    ]  # a heading and the space under a text count as two lines
    whole, above = sum(lengths), 0
    for at, length in enumerate(lengths):
        if 2 * above + length > whole:
            return list(entries[:at]), list(entries[at:])
        above += length
    return list(entries), []


def extremes(names: Iterable[object], values: Iterable[float], n: int = 3) -> str:
    """The ends of a list of numbers in words: 'highest A (+0.51), B (+0.30); lowest C (−0.40)'.

    Only numbers above 0 are called highest and only those below 0 lowest; missing numbers are left out.
    """
    known = [
        (str(name), float(value)) for name, value in zip(names, values, strict=True) if math.isfinite(value)
    ]
    known.sort(key=lambda item: -item[1])
    ends = {
        "highest": [item for item in known[:n] if item[1] > 0],
        "lowest": [item for item in reversed(known[-n:]) if item[1] < 0],
    }
    said = [
        f"{word} {', '.join(f'{name} ({signed(value)})' for name, value in found)}"
        for word, found in ends.items()
        if found
    ]
    return "; ".join(said) or "none differs from 0"


def italic(genes: Sequence[str]) -> list[str]:
    """Gene symbols as Markdown italics, with the characters that Markdown reads escaped."""
    return [f"*{plain(gene)}*" for gene in genes]


def plain(text: object) -> str:
    """`text` as Markdown that shows exactly these characters, on one line."""
    return "".join(
        f"\\{sign}" if sign in r"\`*_{}[]()<>#+-.!|~$:&" else sign for sign in _one_line(str(text))
    )


def _one_line(text: str) -> str:
    """`text` with single blanks for line ends and tabs; thin spaces, which hold numbers together, stay."""
    return re.sub(r"[ \t\r\n\f\v]+", " ", text).strip()


def sentence_case(text: str) -> str:
    """A remark as a sentence, in Markdown: first letter upper case, a full stop at the end."""
    text = _one_line(text)
    return plain(text[:1].upper() + text[1:] + ("" if text.endswith((".", "?")) else "."))


def duration(seconds: float | None) -> str:
    """A time to wait, coarsely: 'a few seconds', '40 s', '3 min', '2 h'."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 5:
        return "a few seconds"
    if seconds < 90:
        return f"{max(5, 5 * round(seconds / 5))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def when(moment: datetime) -> str:
    """A moment in the reader's own (server) time: 'today, 14:05' or '3 Nov 2025, 14:05'."""
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    local = moment.astimezone()
    if local.date() == datetime.now().astimezone().date():
        return f"today, {local:%H:%M}"
    return f"{local.day} {local:%b %Y, %H:%M}"


def size(n_bytes: float) -> str:
    """A file size: '3.25 MB'."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 1000:
            return f"{number(n_bytes)} {unit}"
        n_bytes /= 1000
    return f"{number(n_bytes)} GB"
