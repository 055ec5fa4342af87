"""Which terms a set of genes is rich in: Fisher's exact test, one-sided, against a stated background."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, hypergeom

from hyperperturb.data.network_terms import Terms
from hyperperturb.errors import HyperPerturbError

MIN_SIZE, MAX_SIZE = 3, 500


def enrichment(
    genes: Collection[str],
    terms: Terms,
    *,
    background: Collection[str],
    min_size: int = MIN_SIZE,
    max_size: int = MAX_SIZE,
) -> pd.DataFrame:
    """Test for every term whether more genes of a set have it than chance would give.

    Drawing the set at random from the background, the number of its genes with a term is hypergeometric; the p-value
    is the chance of at least as many as there are (Fisher's exact test, one-sided). The background is what could have
    been in the set *and* has at least one term: a gene nobody has annotated can neither support nor contradict a term.
    The false discovery rate (Benjamini & Hochberg 1995) counts every term tested, also those the set has none of.

    Parameters
    ----------
    genes
        The set; genes outside of the background are left out.
    terms
        Who has which term.
    background
        The genes that the set was chosen from, such as the universe of a run.
    min_size, max_size
        Terms with fewer or more genes in the background are not tested.

    Returns
    -------
    pandas.DataFrame
        One row a term that the set has, smallest p-value first: ``term``, ``in_set`` and ``in_background`` (numbers
        of genes), ``expected`` (genes in the set by chance), ``fold`` (in_set over expected), ``p_value``,
        ``q_value``, ``genes`` (those of the set, sorted, joined by commas). ``attrs`` holds ``n_set``,
        ``n_background`` and ``n_tested``.

    Raises
    ------
    HyperPerturbError
        When no gene of the set, or of the background, has a term.

    Examples
    --------
    >>> names = [f"G{i}" for i in range(10)]
    >>> pairs = Terms(np.array(names), np.array(["a"] * 4 + ["b"] * 6), "terms")
    >>> found = enrichment(names[:3], pairs, background=names)
    >>> found[["term", "in_set", "in_background", "p_value"]].round(4).values.tolist()
    [['a', 3, 4, 0.0333]]
    """
    pairs = pd.DataFrame({"gene": terms.genes.astype(str), "term": terms.terms.astype(str)}).drop_duplicates()
    pairs = pairs[pairs["gene"].isin(set(background))]
    n_background = pairs["gene"].nunique()
    if not n_background:
        raise HyperPerturbError(
            "None of the genes that could have been chosen has a term in this file.",
            hint="Use a file with the same kind of gene names (symbols or Ensembl ids).",
        )
    own = pairs[pairs["gene"].isin(set(genes))]
    n_set = own["gene"].nunique()
    if not n_set:
        raise HyperPerturbError(
            f"None of the {len(genes)} genes of the set has a term in this file.", hint="Use another file."
        )
    size = pairs["term"].value_counts()
    size = size[size.between(min_size, max_size)]
    hits = own["term"].value_counts().reindex(size.index, fill_value=0)
    p = hypergeom.sf(hits.to_numpy() - 1, n_background, size.to_numpy(), n_set)
    expected = n_set * size.to_numpy() / n_background
    table = pd.DataFrame(
        {
            "term": size.index,
            "in_set": hits.to_numpy(),
            "in_background": size.to_numpy(),
            "expected": expected,
            "fold": hits.to_numpy() / expected,
            "p_value": p,
            "q_value": false_discovery_control(np.clip(p, 0.0, 1.0), method="bh") if len(p) else p,
        }
    )
    table = table[table["in_set"] > 0].sort_values(
        ["p_value", "fold", "term"], ascending=[True, False, True], ignore_index=True
    )
    members = own.groupby("term")["gene"].agg(lambda names: ", ".join(sorted(names)))
    table["genes"] = table["term"].map(members).astype(object)
    table.attrs = {"n_set": int(n_set), "n_background": int(n_background), "n_tested": len(size)}
    return table
