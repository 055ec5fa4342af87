"""Tables of effects: what is saved comes back to the last bit; foreign ones are read, or refused by row and column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from hyperperturb.data import number_table
from hyperperturb.data.effects import compute_effects, read_effects
from hyperperturb.errors import HyperPerturbError
from tests.data.conftest import assert_same

ENDINGS = [".parquet", ".csv", ".csv.gz"]


@pytest.fixture
def effects(adata):
    found = compute_effects(adata, column="perturbation", control="control", mode="activation")
    found.standard_error[1] = np.nan
    found.effect[0, 0] = np.float32(1e-38)
    found.effect[0, 1] = np.float32(1) / 3
    return found


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip(effects, tmp_path, ending):
    path = effects.save(tmp_path / f"a{ending}")
    assert_same(read_effects(path), effects)
    assert read_effects(path, mode="knockdown").mode == "knockdown"
    assert [entry.name for entry in tmp_path.iterdir()] == [f"a{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_round_trip_of_what_is_unknown(effects, tmp_path, ending):
    unknown = replace(
        effects,
        standard_error=np.full_like(effects.effect, np.nan),
        n_cells=np.zeros_like(effects.n_cells),
        control_mean=None,
        control_variance=None,
        n_control_cells=0,
        detected=None,
        control_detected=None,
    )
    assert_same(read_effects(unknown.save(tmp_path / f"a{ending}")), unknown)


def test_saved_layout(effects, tmp_path):
    frame = pd.read_csv(effects.save(tmp_path / "a.csv"))
    assert frame.columns[:6].tolist() == ["perturbation", "targets", "mode", "n_cells", "statistic", "G0"]
    assert frame["statistic"].value_counts().to_dict() == {
        "effect": 4,
        "standard_error": 4,
        "detected": 4,
        "control_mean": 1,
        "control_variance": 1,
        "control_detected": 1,
    }
    assert frame.loc[frame["perturbation"] == "G0_G1", "targets"].unique().tolist() == ["G0+G1"]


def test_saving_is_reproducible(effects, tmp_path):
    first, second = effects.save(tmp_path / "a.csv.gz"), effects.save(tmp_path / "b.csv.gz")
    assert first.read_bytes() == second.read_bytes()


def test_cannot_save(effects, tmp_path):
    with pytest.raises(HyperPerturbError, match=r"End the name in \.parquet"):
        effects.save(tmp_path / "a.xlsx")
    with pytest.raises(HyperPerturbError, match="response gene is called 'mode'"):
        replace(effects, genes=("mode", *effects.genes[1:])).save(tmp_path / "a.csv")
    assert list(tmp_path.iterdir()) == []


def test_norman(shared_data):
    effects = read_effects(shared_data / "effects" / "norman2019_effects.csv.gz", mode="activation")
    assert effects.effect.shape == (80, 69)
    assert effects.targets[effects.index("JUN_CEBPA")] == ("CEBPA", "JUN")
    assert sum(len(targets) == 2 for targets in effects.targets) == 27
    assert effects.mode == "activation"
    assert effects.control_mean is None
    assert np.isnan(effects.standard_error).all()
    assert not effects.n_cells.any()
    assert effects.effect[0, 0] == np.float32(2.71174)


def table(labels=("A", "B", "A_B"), genes=("x", "y")):
    values = np.arange(1, 1 + len(labels) * len(genes)).reshape(len(labels), len(genes)) / 10
    return pd.DataFrame(values, index=pd.Index(labels, name="perturbation"), columns=list(genes))


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".tsv", ".parquet"])
@pytest.mark.parametrize("name", ["perturbation", "condition", None])
def test_foreign_tables(tmp_path, ending, name):
    frame = table()
    frame.index.name = name
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, sep="\t" if ending == ".tsv" else ",")
    effects = read_effects(path)
    assert effects.perturbations == ("A", "B", "A_B")
    assert effects.targets == (("A",), ("B",), ("A", "B"))
    assert effects.genes == ("x", "y")
    assert effects.mode == "knockout"
    np.testing.assert_allclose(effects.effect, frame.to_numpy(), rtol=1e-7)


def test_parquet_with_labels_as_a_column(tmp_path):
    table().reset_index().to_parquet(tmp_path / "a.parquet", index=False)
    assert read_effects(tmp_path / "a.parquet").perturbations == ("A", "B", "A_B")


@pytest.mark.parametrize("control", ["control", "Non-Targeting", "parental"])
def test_the_row_of_the_control_is_dropped(tmp_path, control):
    frame = table(("A", control, "B"))
    frame.loc[control] = 0.0
    frame["n_cells"] = [10, 200, 12]
    frame.to_csv(tmp_path / "a.csv")
    effects = read_effects(tmp_path / "a.csv")
    assert effects.perturbations == ("A", "B")
    assert effects.control == control
    assert (effects.n_cells.tolist(), effects.n_control_cells) == ([10, 12], 200)
    assert effects.genes == ("x", "y")


def write(tmp_path, content, name="a.csv"):
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return tmp_path / name


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("perturbation,x,y\n", "has a header but no rows"),
        ("perturbation\nA\nB\n", "has a single column, 'perturbation'"),
        ("perturbation;x;y\nA;1;2\n", "has a single column"),
        ("perturbation,x,y\nA,1,2\nB,1,oops\n", r"row 3, column 'y': 'oops' is not a number"),
        (
            'perturbation,x,y\nA,1,2\nB,1,"2,5"\n',
            r"row 3, column 'y': '2,5' is not a number.*decimals with a point",
        ),
        ("perturbation,x,y\nA,1,2\nB,,2\n", r"row 3, column 'x': the value is missing"),
        ("perturbation,x,y\nA,1,NA\nB,2,2\n", r"row 2, column 'y': the value is missing"),
        ("perturbation,x,y\nA,1,2\nB,inf,2\n", r"row 3, column 'x': the value is inf"),
        ("perturbation,x,y\nA,1,2\nB,1\n", "cannot be read as a table .*as many cells as the header, 3"),
        ("perturbation,x,y\nA,1,2\nB,1,2\nA,3,4\n", "the perturbation 'A' in rows 2 and 4"),
        ("perturbation,x,x\nA,1,2\n", "column name more than once .*'x' in columns 2 and 3"),
        ("perturbation,x,y\nA,1,2\n,1,2\n", "row 3 has no label"),
        ("x,y\n1,2\n3,4\n", "holds numbers only"),
        ("perturbation,n_cells\nA,10\n", "no response genes"),
        ("perturbation,x,y\ncontrol,0,0\n", "no perturbation beside the control"),
        (
            "perturbation,x,y\nA,1,2\ncontrol,5,6\n",
            r"row 3, the control 'control' is not all zeros.*expression",
        ),
        (
            "gene,A,B\nx,1,2\ny,3,4\n",
            "genes in rows and perturbations in columns .*first column is called 'gene'",
        ),
        ("id,A,control\nx,1,2\ny,3,4\n", "genes in rows and perturbations in columns .*'control'"),
        ("perturbation,statistic,x\nA,effect,1\n", "no column 'targets'"),
        (b"\xff\xfe\x00bad\x81,1", "cannot be read as text"),
    ],
)
def test_bad_tables(tmp_path, content, sentence):
    with pytest.raises(HyperPerturbError, match=sentence):
        read_effects(write(tmp_path, content))


def test_a_table_on_its_side(tmp_path):
    genes = [f"G{i}" for i in range(40)]
    columns = [*genes[:6], *(f"{genes[i]}_{genes[i + 1]}" for i in range(6))]
    pd.DataFrame(1.0, index=pd.Index(genes, name="id"), columns=columns).to_csv(tmp_path / "a.csv")
    with pytest.raises(HyperPerturbError, match=r"called after pairs of its rows, such as 'G0_G1'.*frame\.T"):
        read_effects(tmp_path / "a.csv")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.h5ad", b"x", "not a table of effects.*hyperperturb effects"),
        ("a.xlsx", b"x", "not a table of effects.*Give a .csv"),
        ("a.parquet", b"PAR1 nothing", "not a parquet file, or is damaged"),
        ("a.csv.gz", b"not gzip", "cannot be read as text"),
        ("a.csv.gz", b"\x1f\x8b\x08\x00broken", "cannot be read as text"),
    ],
)
def test_bad_files(tmp_path, name, content, sentence):
    with pytest.raises(HyperPerturbError, match=sentence):
        read_effects(write(tmp_path, content, name))


def test_missing_file_folder_and_mode(tmp_path):
    with pytest.raises(HyperPerturbError, match="There is no file"):
        read_effects(tmp_path / "none.csv")
    with pytest.raises(HyperPerturbError, match="is a folder"):
        read_effects(tmp_path)
    with pytest.raises(HyperPerturbError, match="no mode of perturbation"):
        read_effects(tmp_path, mode="overexpression")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda frame: frame[frame["statistic"] != "control_mean"], "0 rows 'control_mean'"),
        (lambda frame: frame[frame["statistic"] != "effect"], "0 rows 'effect'"),
        (lambda frame: frame.assign(statistic="mean"), "unknown statistic 'mean'"),
        (lambda frame: frame.drop(columns="n_cells"), "no column 'n_cells'"),
        (lambda frame: frame.drop(index=4), "'standard_error' for other perturbations"),
        (lambda frame: frame.assign(G0=np.inf), "row 2, column 'G0': the value is inf"),
    ],
)
def test_own_tables_that_were_changed(effects, tmp_path, change, sentence):
    frame = pd.read_csv(effects.save(tmp_path / "a.csv"), keep_default_na=False)
    change(frame).to_csv(tmp_path / "b.csv", index=False)
    with pytest.raises(HyperPerturbError, match=sentence):
        read_effects(tmp_path / "b.csv")


def test_a_few_columns_at_a_time(effects, tmp_path, monkeypatch):
    path = effects.save(tmp_path / "effects.parquet")
    whole = read_effects(path)
    monkeypatch.setattr(number_table, "_COLUMNS", 2)
    for again in (read_effects(path), read_effects(effects.save(tmp_path / "effects.csv"))):
        assert np.array_equal(again.effect, whole.effect, equal_nan=True)
        assert np.array_equal(again.standard_error, whole.standard_error, equal_nan=True)
        assert np.array_equal(again.control_mean, whole.control_mean)
