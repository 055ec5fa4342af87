"""Networks as public archives publish them, and networks that were saved before."""

from __future__ import annotations

import gzip
import zipfile

import numpy as np
import pytest

from hyperperturb.data.network import read_network
from hyperperturb.data.network_store import save_network
from hyperperturb.errors import HyperPerturbError

GAF_ROWS = [
    ("P1", "A", "involved_in", "GO:0000001", "IDA"),
    ("P2", "B", "involved_in", "GO:0000001", "IDA"),
    ("P3", "C", "NOT|involved_in", "GO:0000001", "IDA"),
    ("P3", "C", "involved_in", "GO:0000002", "IEA"),
    ("P4", "D", "part_of", "GO:0000002", "IEA"),
    ("P5", "E", "involved_in", "GO:0000002", "ND"),
    ("P6", "F'", "involved_in", "GO:0000003", "IDA"),
    ("P7", 'G"', "involved_in", "GO:0000003", "IDA"),
]


def gaf(rows=GAF_ROWS) -> str:
    lines = ["!gaf-version: 2.2", "!generated-by: GOC"]
    for protein, gene, qualifier, term, evidence in rows:
        cells = [
            "UniProtKB",
            protein,
            gene,
            qualifier,
            term,
            "PMID:1",
            evidence,
            "",
            "P",
            "a name",
            "syn",
            "protein",
        ]
        lines.append("\t".join([*cells, "taxon:9606", "20250101", "UniProt", "", ""]))
    return "\n".join(lines) + "\n"


def pairs(network) -> dict[tuple[str, str], float]:
    found = network.adjacency.tocoo()
    return {
        (network.genes[i], network.genes[j]): float(w)
        for i, j, w in zip(found.row, found.col, found.data, strict=True)
        if i < j
    }


@pytest.mark.parametrize("packed", [False, True])
def test_gaf_joins_genes_of_a_term_and_believes_what_it_denies(tmp_path, packed):
    path = tmp_path / ("goa_human.gaf.gz" if packed else "goa_human.gaf")
    path.write_bytes(gzip.compress(gaf().encode()) if packed else gaf().encode())
    network = read_network(path)
    assert set(pairs(network)) == {("A", "B"), ("C", "D"), ("F'", 'G"')}
    assert network.name == "goa_human"
    assert "2 annotations that say NOT or have no evidence left out" in network.provenance[0].note


def test_gaf_without_rows_is_refused(tmp_path):
    path = tmp_path / "a.gaf"
    path.write_text("!gaf-version: 2.2\nA\tB\n")
    with pytest.raises(HyperPerturbError, match="no rows of 17 columns"):
        read_network(path)


OMNIPATH = (
    "source\ttarget\tsource_genesymbol\ttarget_genesymbol\tis_directed\tis_stimulation\tis_inhibition\t"
    "{}dorothea_level\n"
)


def test_omnipath_is_signed_by_consensus(tmp_path):
    path = tmp_path / "dorothea.tsv"
    rows = ["1\t1\t0\t1\t0\tA", "1\t1\t1\t0\t1\tB", "1\t0\t0\t0\t0\tC"]
    text = OMNIPATH.format("consensus_stimulation\tconsensus_inhibition\t")
    for k, row in enumerate(rows):
        text += f"P1\tP{k + 2}\tTF\tGENE{k}\t{row}\n"
    path.write_text(text)
    network = read_network(path)
    assert set(pairs(network)) == {("GENE0", "TF"), ("GENE1", "TF"), ("GENE2", "TF")}
    tf = network.genes.index("TF")
    signs = network.signs.toarray()
    assert [int(signs[tf, network.genes.index(f"GENE{k}")]) for k in range(3)] == [1, -1, 0]
    assert not np.any(signs[:, tf])  # regulons point from the factor


def test_omnipath_in_words_and_without_consensus(tmp_path):
    path = tmp_path / "dorothea.tsv"
    path.write_text(OMNIPATH.format("") + "P1\tP2\tTF\tG\tTrue\tFalse\tTrue\tA\n")
    network = read_network(path)
    assert network.signs.toarray()[network.genes.index("TF"), network.genes.index("G")] == -1
    path.write_text("source_genesymbol\ttarget_genesymbol\nA\tB\n")
    with pytest.raises(HyperPerturbError, match="lacks columns of OmniPath"):
        read_network(path)


def test_gene_sets_are_read_from_their_archive(tmp_path):
    path = tmp_path / "ReactomePathways.gmt.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ReactomePathways.gmt", "One\tR-HSA-1\tA\tB\nTwo\tR-HSA-2\tC\tD\n")
    network = read_network(path)
    assert set(pairs(network)) == {("A", "B"), ("C", "D")}
    assert network.name == "ReactomePathways"
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other.gmt", "x\ty\tA\tB\n")
    with pytest.raises(HyperPerturbError, match="holds 2 files of gene sets"):
        read_network(path)
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(HyperPerturbError, match="cannot be unpacked"):
        read_network(path)


def test_a_saved_network_is_read_like_any_other(tmp_path):
    edges = tmp_path / "edges.csv"
    edges.write_text("A,B,0.5\nB,C,0.25\n")
    network = read_network(edges)
    path = save_network(network, tmp_path / "saved.npz")
    again = read_network(path)
    assert again.genes == network.genes
    assert pairs(again) == pairs(network)
    assert again.provenance == network.provenance
