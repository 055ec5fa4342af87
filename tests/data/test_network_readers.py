"""Reading networks from files: every layout that people have, and every mistake with its row."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from hyperperturb.data.network import NETWORK_KINDS, read_network
from hyperperturb.data.network_terms import NEIGHBOURS
from hyperperturb.errors import HyperPerturbError

SHARED = Path(__file__).parents[2].parent / "shared"
REAL = SHARED / "data" / "networks"
needs_real = pytest.mark.skipif(
    not SHARED.exists(), reason="the real networks in ../shared are not on this machine"
)


def write(folder: Path, content: str | bytes, name: str = "net.csv") -> Path:
    path = folder / name
    data = content if isinstance(content, bytes) else content.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def edges(network) -> dict[str, float]:
    matrix = network.adjacency.tocoo()
    return {
        f"{network.genes[i]}-{network.genes[j]}": round(float(w), 4)
        for i, j, w in zip(matrix.row, matrix.col, matrix.data, strict=True)
        if network.genes[i] < network.genes[j]
    }


PLAIN = {"A-B": 1.0, "B-C": 1.0}
WEIGHTED = {"A-B": 0.5, "B-C": 0.25}


@pytest.mark.parametrize(
    "content",
    [
        "A,B\nB,C\n",
        "A\tB\nB\tC",
        "A;B\nB;C\n",
        "A B\nB C\n",
        "  A    B  \n B\t C\n",
        "A,B\r\nB,C\r\n",
        "\ufeffA,B\nB,C\n",
        "\ufeffgene1,gene2\r\nA,B\r\nB,C\r\n",
        '"A","B"\n"B","C"\n',
        "source,target\nA,B\nB,C\n",
        "entity1\tentity2\nA\tB\nB\tC\n",
        "geneA,geneB\nA,B\nB,C\n",
        "Official_Symbol_A\tOfficial_Symbol_B\nA\tB\nB\tC\n",
        "# made by hand\n#\n\nA,B\n\nB,C\n\n",
        "#node1\tnode2\nA\tB\nB\tC\n",
        "A,B\nB,C\nB,A\nC,B\n",
        "A, B \nB ,C\n",
    ],
)
@pytest.mark.parametrize("suffix", [".csv", ".txt.gz"])
def test_two_columns(tmp_path, content, suffix):
    network = read_network(write(tmp_path, content, f"my net{suffix}"))
    assert edges(network) == PLAIN
    assert network.name == "my net"
    assert network.provenance[0].kind == "edges"
    assert network.provenance[0].path.endswith(suffix)
    assert network.signs is None


@pytest.mark.parametrize(
    "content",
    [
        "A,B,0.5\nB,C,0.25\n",
        "A\tB\t5e-1\nB\tC\t.25\n",
        "from,to,weight\nA,B,0.5\nB,C,0.25\n",
        "node1,node2,note,score\nA,B,hello,0.5\nB,C,you,0.25\n",
        "A,B,0.5\nB,A,0.5\nB,C,0.25\nC,B,0.125\n",
        "#node1\tnode2\tnode1_string_id\tcombined_score\nA\tB\t9606.x\t0.5\nB\tC\t9606.y\t0.25\n",
        "A,B,0.5\nA,A,0.9\nB,C,0.25\nA,C,0\n",
    ],
)
def test_weights(tmp_path, content):
    network = read_network(write(tmp_path, content))
    assert edges(network) == WEIGHTED


def test_weights_above_one_are_scaled(tmp_path):
    assert edges(read_network(write(tmp_path, "A,B,900\nB,C,450\n"))) == {"A-B": 1.0, "B-C": 0.5}


def test_min_score_is_on_the_scale_of_the_file(tmp_path):
    network = read_network(write(tmp_path, "A,B,900\nB,C,450\nC,D,100\n"), min_score=450)
    assert edges(network) == {"A-B": 1.0, "B-C": 0.5}
    assert "1 edges with a weight below 450" in network.provenance[0].note


def test_unknown_columns_are_named_and_not_used(tmp_path):
    network = read_network(write(tmp_path, "gene1,gene2,PMID\nA,B,123\nB,C,456\n"))
    assert edges(network) == PLAIN
    assert network.provenance[0].note == "columns not used: PMID"


def test_genes_named_like_headers_are_genes(tmp_path):
    assert edges(read_network(write(tmp_path, "ID1,ID2\nID1,TF\n"))) == {"ID1-ID2": 1.0, "ID1-TF": 1.0}


def test_missing_names_and_self_loops_are_counted(tmp_path):
    network = read_network(write(tmp_path, "A,B\nNA,B\nA,A\nB,C\nnan,nan\n"))
    assert edges(network) == PLAIN
    assert "2 rows with a missing name dropped" in network.provenance[0].note
    assert "1 self loops dropped" in network.provenance[0].note


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            "A,B\n" * 17 + "A\n" + "B,C\n",
            r"Row 18 of the edge list has one column; two gene names are needed",
        ),
        ("A,B\n" * 3 + "A,\n", r"Row 4 of the edge list has one column"),
        ("g1,g2\n\nA,B\n,B\n", r"Row \d of the edge list has one column"),
        ("A\nB\nC\n", r"Row 1 of the edge list has one column; two gene names are needed"),
        ("gene\n", r"Row 1 of the edge list has one column"),
        ("A,B\nB,C,D\n" + "A,B\n" * 5, r"Row 2 of the edge list has 3 columns, the other rows have 2"),
        ("", r"edge list 'net.csv' is empty"),
        (" \n\n\r\n", r"edge list 'net.csv' is empty"),
        ("# nothing but a comment\n", r"is empty"),
        ("source,target\n", r"has a header but no rows"),
        ("source,target,weight\n\n", r"has a header but no rows"),
        ("A,B,1\nB,C,strong\n", r"Row 2 of the edge list has the weight 'strong', which is not a number"),
        ("A,B,yes\nB,C,no\n", r"Row 1 of the edge list has the weight 'yes', which is not a number"),
        ("A,B,1\nB,C,\n", r"Row 2 of the edge list has no weight"),
        ("a,b,weight\nA,B,1\n\nB,C,NaN\n", r"Row 4 of the edge list has no weight"),
        ("A,B,1\nB,C,inf\n", r"Row 2 of the edge list has the weight 'inf', which is not finite"),
        ("A,A\nB,B\n", r"no edge between two different genes"),
        ("A,B,0\n", r"no edge between two different genes"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), r"it is an HDF5 file"),
        (b"PK\x03\x04" + bytes(100), r"zip archive or an Excel workbook"),
        (b"A,B\n\x00\x01\x02", r"it is a binary file"),
        (b"A,\xe4\xf6\xfcB\nB,C\nA,C\n", r"it is not UTF-8 text"),
        ("A,B\nB,C\n".encode("utf-16"), r"UTF-16"),
        (gzip.compress(b"A,B\n" * 1000, mtime=0)[:-12], r"damaged or was cut short"),
        (b"\x1f\x8bnot gzip at all", r"damaged or was cut short"),
    ],
)
def test_mistakes(tmp_path, content, sentence):
    with pytest.raises(HyperPerturbError, match=sentence) as caught:
        read_network(write(tmp_path, content))
    assert caught.value.hint
    assert "net.csv" in str(caught.value)


def test_negative_weight_in_what_was_called_an_edge_list(tmp_path):
    with pytest.raises(HyperPerturbError, match=r"Row 2 .* negative weight -0.5.*kind='regulons'"):
        read_network(write(tmp_path, "A,B,1\nB,C,-0.5\n"), kind="edges")


def test_late_mistake_is_found_with_its_row(tmp_path):
    """Beyond the rows that are looked at first."""
    good = "".join(f"G{k},G{k + 1},0.5\n" for k in range(3000))
    with pytest.raises(HyperPerturbError, match="Row 3002 of the edge list has the weight 'x'"):
        read_network(write(tmp_path, good + "A,B,1\nA,B,x\n"))
    with pytest.raises(HyperPerturbError, match="Row 3001 of the edge list has one column"):
        read_network(write(tmp_path, good + "lonely\n" + good))


def test_missing_file_folder_and_unknown_kind(tmp_path):
    with pytest.raises(HyperPerturbError, match="There is no file"):
        read_network(tmp_path / "none.csv")
    with pytest.raises(HyperPerturbError, match="is a folder"):
        read_network(tmp_path)
    with pytest.raises(HyperPerturbError, match=r"no kind of network called 'graph'.*edges, string"):
        read_network(write(tmp_path, "A,B\n"), kind="graph")
    assert NETWORK_KINDS[0] == "auto"


@pytest.mark.parametrize(
    "content",
    [
        '"source","target","weight"\n"A","B",1\n"B","C",-1\n"C","D",0\n',
        "A\tB\tActivation\t1\nB\tC\tRepression\t2\nC\tD\tUnknown\t3\n",
        "Gene1\tGene2\tMode_of_Regulation\tPMID\nA\tB\tActivation\t1\nB\tC\tRepression\t2\nC\tD\tUnknown\t3\n",
        "tf,target,mor\nA,B,1\nB,C,-1\nC,D,0\n",
        "A,B,+\nB,C,-\nC,D,?\n",
        "source,target,weight,sign\nA,B,1,1\nB,C,1,-1\nC,D,1,0\n",
    ],
)
def test_regulons(tmp_path, content):
    network = read_network(write(tmp_path, content))
    assert network.provenance[0].kind == "regulons"
    assert edges(network) == {"A-B": 1.0, "B-C": 1.0, "C-D": 1.0}
    dense = network.signs.toarray()
    assert dense[0, 1] == 1
    assert dense[1, 2] == -1
    assert np.count_nonzero(dense) == 2


def test_regulons_with_strengths_and_contradictions(tmp_path):
    network = read_network(write(tmp_path, "A,B,-0.5\nB,C,0.25\nC,D,1\nC,D,-1\n"))
    assert edges(network) == {"A-B": 0.5, "B-C": 0.25, "C-D": 1.0}
    assert network.signs.toarray().tolist() == [[0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]


def test_bad_sign(tmp_path):
    with pytest.raises(HyperPerturbError, match="Row 3 of the table of regulons has the sign 'sideways'"):
        read_network(write(tmp_path, "tf,target,mor\nA,B,1\nB,C,sideways\n"), kind="regulons")
    with pytest.raises(HyperPerturbError, match="no column of signs"):
        read_network(write(tmp_path, "A,B\nB,C\n"), kind="regulons")


TERMS = "gene,go_id\nA,GO:0000001\nB,GO:0000001\nB,GO:0000002\nC,GO:0000002\nD,GO:0000002\nE,GO:0000003\n"


@pytest.mark.parametrize(
    "content",
    [
        TERMS,
        TERMS.split("\n", 1)[1],
        "".join(f"{b},{a}\n" for a, b in (line.split(",") for line in TERMS.split()[1:])),
        TERMS.replace("GO:", "R-HSA-"),
        "symbol\tpathway\nA\tone\nB\tone\nB\ttwo\nC\ttwo\nD\ttwo\n",
        TERMS + "A,GO:0000001\n,GO:0000003\n",
    ],
)
def test_terms_join_genes_and_small_terms_say_more(tmp_path, content):
    network = read_network(write(tmp_path, content))
    assert network.provenance[0].kind == "terms"
    weights = edges(network)
    assert set(weights) == {"A-B", "B-C", "B-D", "C-D"}
    assert weights["C-D"] == 1.0  # all their terms are shared
    assert weights["A-B"] > weights["B-C"] == weights["B-D"]  # a term of two genes against one of three


def test_terms_above_500_genes_are_left_out(tmp_path):
    large = "".join(f"L{k},GO:0000009\n" for k in range(501))
    network = read_network(write(tmp_path, TERMS + large))
    assert "A" in network.genes
    assert "L3" not in network.genes
    assert "1 terms with more than 500 genes left out" in network.provenance[0].note
    with pytest.raises(HyperPerturbError, match="No two genes of 'net' share a term of at most 500"):
        read_network(write(tmp_path, large))


def test_terms_stay_sparse(tmp_path):
    rng = np.random.default_rng(0)
    rows = "".join(f"G{k},GO:{t:07d}\n" for k in range(1500) for t in rng.choice(6, 2, replace=False))
    network = read_network(write(tmp_path, rows))
    assert network.degree.max() < 1500
    assert network.n_edges <= 1500 * NEIGHBOURS


def test_gene_sets(tmp_path):
    content = "one\thttp://x\tA\tB\ntwo\t\tB\tC\tD\n\nempty\tnothing\nthree\tx\tE\n"
    network = read_network(write(tmp_path, content, "sets.gmt"))
    assert set(edges(network)) == {"A-B", "B-C", "B-D", "C-D"}
    assert network.provenance[0].kind == "gmt"
    assert "1 sets without genes" in network.provenance[0].note
    assert edges(read_network(write(tmp_path, content, "sets.gmt.gz"))) == edges(network)
    assert edges(read_network(write(tmp_path, content, "sets.txt"), kind="gmt")) == edges(network)
    with pytest.raises(HyperPerturbError, match="holds no set with genes"):
        read_network(write(tmp_path, "A,B\n", "bad.gmt"))


INFO = (
    "#string_protein_id\tpreferred_name\tprotein_size\n9606.ENSP1\tA\t1\n9606.ENSP2\tB\t1\n9606.ENSP3\tC\t2\n"
)
LINKS = (
    "protein1 protein2 combined_score\n9606.ENSP1 9606.ENSP2 900\n9606.ENSP2 9606.ENSP1 900\n"
    "9606.ENSP2 9606.ENSP3 400\n9606.ENSP1 9606.ENSP3 399\n9606.ENSP9 9606.ENSP1 800\n"
)
FULL = (
    "protein1 protein2 neighborhood fusion combined_score\n"
    "9606.ENSP1 9606.ENSP2 0 0 900\n9606.ENSP2 9606.ENSP3 0 7 400\n9606.ENSP1 9606.ENSP3 0 0 399\n"
)


@pytest.mark.parametrize("links", ["links", "links.full", "links.detailed", "physical.links"])
@pytest.mark.parametrize("packed", ["", ".gz"])
def test_string_finds_its_gene_names(tmp_path, links, packed):
    content = LINKS if links.endswith("links") else FULL
    path = write(tmp_path, content, f"9606.protein.{links}.v12.0.txt{packed}")
    write(tmp_path, INFO, "9606.protein.info.v12.0.txt.gz")
    network = read_network(path)
    assert edges(network) == {"A-B": 0.9, "B-C": 0.4}
    assert network.provenance[0].kind == "string"
    assert "at least 400" in network.provenance[0].note
    if content is LINKS:
        assert "1 rows left out, 1 proteins without a gene name" in network.provenance[0].note


def test_string_thresholds_and_named_info(tmp_path):
    path = write(tmp_path, LINKS, "renamed.txt")
    info = write(tmp_path, INFO, "names.tsv")
    with pytest.raises(HyperPerturbError, match=r"protein.info file is not beside it"):
        read_network(path)
    assert set(edges(read_network(path, info=info, min_score=0))) == {"A-B", "A-C", "B-C"}
    assert edges(read_network(path, info=info, min_score=700)) == {"A-B": 0.9}
    assert edges(read_network(path, info=info, min_score=0.7)) == {"A-B": 0.9}
    with pytest.raises(HyperPerturbError, match="no link of score 950 or more"):
        read_network(path, info=info, min_score=950)


def test_string_with_the_wrong_files(tmp_path):
    path = write(tmp_path, LINKS, "9606.protein.links.v12.0.txt.gz")
    mouse = write(tmp_path, INFO.replace("9606.ENSP", "10090.ENSMUSP"), "mouse.txt")
    with pytest.raises(HyperPerturbError, match="another species or version"):
        read_network(path, info=mouse)
    with pytest.raises(HyperPerturbError, match="is not STRING's protein info"):
        read_network(path, info=write(tmp_path, "A,B\n", "other.csv"))
    info = write(tmp_path, INFO, "info.txt")
    cut = tmp_path / "cut.protein.links.txt.gz"
    rows = "".join(f"9606.ENSP{k % 3 + 1} 9606.ENSP{k % 2 + 1} {400 + k % 600}\n" for k in range(5000))
    cut.write_bytes(gzip.compress((LINKS + rows).encode())[:-2000])
    with pytest.raises(HyperPerturbError, match="cut short"):
        read_network(cut, info=info)
    with pytest.raises(HyperPerturbError, match="cannot be read as STRING's protein links"):
        read_network(write(tmp_path, "A,B\nB,C\n", "x.csv"), info=info, kind="string")
    with pytest.raises(HyperPerturbError, match="There is no file"):
        read_network(tmp_path / "none.txt.gz", info=info, kind="string")


EXPECTED = {
    "string_high_confidence.csv": ("edges", 58_059),
    "humap.csv": ("edges", 58_538),
    "reactome_pairs.csv": ("edges", 18_565),
    "signor.csv": ("edges", 11_617),
    "collectri.csv": ("regulons", 41_881),
    "trrust_rawdata.human.tsv": ("regulons", 8_316),
    "gene_go.csv.gz": ("terms", None),
    "ReactomePathways.gmt": ("gmt", None),
}


@needs_real
@pytest.mark.parametrize("name", EXPECTED)
def test_real_files(name):
    start = time.perf_counter()
    network = read_network(REAL / name)
    seconds = time.perf_counter() - start
    kind, n_edges = EXPECTED[name]
    assert network.provenance[0].kind == kind
    assert (network.adjacency != network.adjacency.T).nnz == 0
    assert network.adjacency.data.min() > 0
    assert network.adjacency.data.max() <= 1
    if n_edges is not None:
        assert network.n_edges == n_edges
        assert seconds < 5  # about 0.1 s; the machine may be busy
    else:
        assert 100_000 < network.n_edges < 1_000_000
    assert not {"entity1", "source", "Gene1", "gene"} & set(network.genes)
    if kind == "regulons":
        assert 0.5 < (network.signs.data > 0).mean() < 0.95
        myc, tert = network.index(["MYC", "TERT"])
        assert network.signs[myc, tert] == 1


@needs_real
def test_annotation_joins_what_belongs_together():
    network = read_network(REAL / "gene_go.csv.gz")
    stat, jak, keratin = network.index(["STAT1", "STAT2", "KRT5"])
    assert network.adjacency[stat, jak] > 0.1
    assert network.adjacency[stat, keratin] == 0
