"""The scores of a run: verdict, methods, one perturbation, hubs, twin, intervals, every perturbation, files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd
import streamlit as st

from app.ui import alt, cache, evaluation_files, frame, proteins
from app.ui.frame import facts, fold, section
from app.ui.state import chosen_perturbation, select
from app.ui.text import GLOSSARY, number, plain, plural, sentence_case, signed
from hyperperturb.errors import HyperPerturbError
from hyperperturb.runs.directory import RunDirectory

if TYPE_CHECKING:
    from hyperperturb.evaluation.report import RunMetrics

SHOWN = ("error", "pearson_control", "pearson_mean", "cosine_discrimination")
_HELD_OUT = {
    "genes": "each gene was held out once, with every perturbation it takes part in",
    "combinations": "each combination was held out once; its genes may be seen in others",
    "leave-one-out": "each perturbation was left out by itself",
    "file": "by the folds of a table",
}
_TABLES = ("Scores", "95 % intervals", "Scaled")
_COLUMNS = {
    "perturbation": "perturbation",
    "error": "error",
    "baseline_error": "error of baseline",
    "lead": "lead",
    "strength": "strength",
    "n_targets": "genes",
    "n_seen": "genes seen",
    "pearson_control": "correlation",
    "pearson_mean": "beyond the mean",
    "cosine_discrimination": "discrimination",
    "centroid_accuracy": "centroid",
    "significant_overlap": "overlap",
    "sign_agreement": "signs",
    "predicted_error": "expected error",
    "actual_error": "actual error",
    "covered": "covered",
}


def draw(figure: Any, name: str, **options: Any) -> Any:
    """A figure under a key of this page."""
    return frame.draw(figure, name, key=f"evaluate_{name}", **options)


def verdict(found: RunMetrics) -> None:
    """The sentence that comes first, and how it was come by."""
    with st.container(border=True, key="verdict"):
        st.markdown(
            f"**{'Ahead of' if found.ahead else 'Not ahead of'} the baselines.** {plain(found.verdict)}"
        )
        how = [
            plural(found.n_perturbations, "held-out perturbation"),
            plural(found.n_folds, "fold"),
            _HELD_OUT.get(found.held_out, plain(found.held_out)),
        ]
        if found.n_seeds > 1:
            how.append(f"averaged over {plural(found.n_seeds, 'seed')}")
        st.caption(" · ".join(how))


def show(run: RunDirectory, found: RunMetrics) -> None:
    """Everything under the verdict, in the order of what a reader asks next."""
    rows = perturbations(found)
    chosen = _chosen(rows)
    _methods(run, found)
    proteins.scored(run, found.proteins)
    if len(rows):
        _one(run, found, rows, chosen)
    _hubs(run, found)
    _twin(found)
    _intervals(found, rows, chosen)
    if len(rows):
        _all(run, rows)
    evaluation_files.downloads(run, found, chosen)


def perturbations(found: RunMetrics) -> pd.DataFrame:
    """One row a held-out perturbation, the strongest first; ``lead`` is how much nearer than the baseline."""
    rows = pd.DataFrame(found.per_perturbation)
    if rows.empty:
        return rows
    rows["lead"] = rows["baseline_error"] - rows["error"]
    return rows.sort_values("strength", ascending=False, kind="stable", ignore_index=True)


def _chosen(rows: pd.DataFrame) -> str:
    """The perturbation in the address; the strongest where it names none that was held out."""
    if rows.empty:
        return ""
    wanted = chosen_perturbation()
    if wanted and wanted not in set(rows["perturbation"]):
        st.warning(f"No held-out perturbation of this run is called “{plain(wanted)}”.")
        select(perturbation="")
        wanted = ""
    return wanted or str(rows["perturbation"].iloc[0])


def _baseline(found: RunMetrics) -> str:
    scores = found.scores(found.best_baseline)
    return scores.label if scores is not None else found.best_baseline


def _methods(run: RunDirectory, found: RunMetrics) -> None:
    from hyperperturb.evaluation.report import method_frame
    from hyperperturb.evaluation.verdict import MODEL
    from hyperperturb.plots.evaluation import method_scores

    section("Beside the baselines and the ceiling", help=f"{GLOSSARY['baseline']} {GLOSSARY['ceiling']}")
    table = method_frame(found)
    first = table["name"] != MODEL  # the model on top, then the others as the picture has them
    table = table.assign(first=first).sort_values(["first", "error"], kind="stable", ignore_index=True)
    table = table.drop(columns="first")
    draw(method_scores(table, model=MODEL, shown=SHOWN), "methods", alt=alt.methods(table), wide=True)
    st.caption(
        "Solid: this model; circles: simple baselines; squares: this model with one thing taken away; diamond: the "
        "ceiling. Bars: 95 % bootstrap intervals over target genes. Dotted: no skill."
    )
    scaled = any(name.endswith("_scaled") and table[name].notna().any() for name in table.columns)
    kind = st.segmented_control(
        "Table of",
        _TABLES if scaled else _TABLES[:2],
        default=_TABLES[0],
        required=True,
        key="evaluate_table",
        label_visibility="collapsed",
    )
    _method_table(run, table, kind)
    if found.ceiling:
        note = f"Halved for the ceiling: {plain(found.ceiling)}."
        st.caption(f"{GLOSSARY['scaled score']} {note}" if kind == _TABLES[2] else note)
    elif run.config.screen is None:
        st.caption("Without a ceiling: a table of effects has no cells to halve.")
    else:
        st.caption(
            "Without a ceiling: *Evaluate thoroughly* measures it on two halves of the screen's cells."
        )
    if found.groups:
        _groups(run, found)


def _groups(run: RunDirectory, found: RunMetrics) -> None:
    """Errors apart by what training had seen of the targets: averages over all hide which question is hard."""

    def show() -> None:
        table = pd.DataFrame(
            [
                {"held out": group.words, "perturbations": group.n_perturbations}
                | {row.label: getattr(row, "error", None) for row in group.methods}
                for group in found.groups
            ]
        )
        config = {name: st.column_config.NumberColumn(format="%.3f") for name in table.columns[2:]}
        config["held out"] = st.column_config.TextColumn(pinned=True)
        frame.table(table, f"{run.name}-groups", key="groups", column_config=config)
        st.caption("Squared error over that of no change; lower is better.")

    fold("By number of genes, and how many of them training had seen", show, key="groups_fold")


def _method_table(run: RunDirectory, table: pd.DataFrame, kind: str) -> None:
    from hyperperturb.evaluation.metrics import METRICS

    known = [m for m in METRICS.values() if m.name in table and table[m.name].notna().any()]
    shown = {"Predictor": table["label"]}
    config: dict[str, Any] = {"Predictor": st.column_config.TextColumn(pinned=True)}
    for metric in known:
        arrow = "↑" if metric.best == "high" else "↓"
        label = f"{metric.label} {arrow}"
        note = f"{metric.definition} {'Higher' if metric.best == 'high' else 'Lower'} is better."
        if kind == _TABLES[1]:
            shown[label] = [
                f"{number(a)} to {number(b)}"
                for a, b in zip(
                    *(pd.to_numeric(table[f"{metric.name}_{end}"]) for end in ("low", "high")), strict=True
                )
            ]
            config[label] = st.column_config.TextColumn(help=note)
        else:
            column = metric.name + ("_scaled" if kind == _TABLES[2] else "")
            if column not in table or table[column].isna().all():
                continue
            shown[label] = pd.to_numeric(table[column])
            config[label] = st.column_config.NumberColumn(
                format="%.2f" if kind == _TABLES[2] else "%.3f", help=note
            )
    frame.table(
        pd.DataFrame(shown),
        f"{run.name}-methods",
        key="methods",
        data=table,
        height="content",
        column_config=config,
    )


def _one(run: RunDirectory, found: RunMetrics, rows: pd.DataFrame, chosen: str) -> None:
    from hyperperturb.plots.held_out import left_out_scatter, perturbation_errors

    section("Predicted against measured", help=GLOSSARY["left out"])
    st.session_state["judged"] = chosen
    st.selectbox(
        "Perturbation",
        rows["perturbation"].tolist(),
        key="judged",
        help="The strongest first. A point of the picture or a row of the table below chooses as well.",
        on_change=lambda: select(perturbation=st.session_state["judged"]),
    )
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown(f"**{plain(chosen)}, predicted from the others**")
        try:
            pair = cache.left_out(run, chosen)
            said = alt.agreement(
                pair["effect"], pair["measured"], across="predicted effect", upwards="measured effect"
            )
            draw(left_out_scatter(pair), "predicted-against-measured", alt=said)
        except HyperPerturbError as error:
            st.info(plain(error))
        else:
            st.caption(GLOSSARY["left out"])
    with right:
        baseline = _baseline(found)
        st.markdown("**Every perturbation, against the best baseline**")
        draw(
            perturbation_errors(rows, chosen=chosen, baseline=baseline.lower()),
            "perturbation-errors",
            alt=alt.errors(rows, baseline=baseline.lower()),
            on_select=_picked,
            selection_mode="points",
        )
        st.caption("Squared error over that of no change; larger points are stronger effects.")


def _picked() -> None:
    state = st.session_state.get("evaluate_perturbation-errors")
    points = state["selection"]["points"] if state else []
    if points and points[0].get("customdata"):
        name = points[0]["customdata"]
        select(perturbation=str(name[0] if isinstance(name, list) else name))


def _hubs(run: RunDirectory, found: RunMetrics) -> None:
    from hyperperturb.plots.evaluation import hub_radius

    section("Do hubs sit in the middle?", help=GLOSSARY["radius"])
    rho, p = found.hub_radius.get("spearman"), found.hub_radius.get("p_value")
    facts(
        [
            (
                "Radius against degree",
                signed(rho),
                "Rank correlation of a gene's distance from the middle with its degree: −1 when the hubs are exactly "
                "in order from the middle outwards. Training pulls hubs inwards, so this tests that it succeeded.",
            ),
            (
                "p",
                "–" if p is None else "< 0.001" if p < 0.001 else number(p, 2),
                "Of that rank correlation, had radius and degree nothing to do with each other.",
            ),
            ("Curvature", number(found.curvature), GLOSSARY["curvature"]),
            (
                "Fit of the points",
                number(found.fit),
                "Correlation of exp(−distance) between gene points with the networks' similarity.",
            ),
        ]
    )
    genes = cache.inference(run).genes
    draw(hub_radius(genes), "hub-radius", alt=alt.hubs(genes, rho))


def _twin(found: RunMetrics) -> None:
    from hyperperturb.evaluation.report import variant_sentences
    from hyperperturb.plots.evaluation import paired_leads

    section("Does hyperbolic space help?", help=GLOSSARY["twin"])
    said = variant_sentences(found)[
        ::-1
    ]  # the twin answers the question; the others tell what carries the rest
    if found.scores("flat_twin") is None:
        st.markdown(
            ":gray[Not known yet: the flat twin was not trained for this run. *Evaluate thoroughly* trains it, and "
            "deals out genes at random and rewires the networks beside it.]"
        )
    for line in said:
        st.markdown(sentence_case(line))
    leads = [lead.model_dump() for lead in found.leads]
    if leads:
        st.markdown("**How far ahead of each it is**")
        draw(paired_leads(leads), "paired-leads", alt=alt.leads(leads), wide=True)
        st.caption(
            "Paired on the same held-out perturbations; bars: 95 % bootstrap intervals over target genes."
        )


def _intervals(found: RunMetrics, rows: pd.DataFrame, chosen: str) -> None:
    from hyperperturb.plots.held_out import coverage_shares, error_calibration

    section("Does it know how wrong it is?", help=GLOSSARY["standard error"])
    if not found.calibration:
        st.markdown(":gray[Too few held-out perturbations have a standard error to tell.]")
        return
    st.markdown(sentence_case(str(found.calibration["sentence"])))
    if "covered" not in rows:
        st.markdown(
            ":gray[This run did not keep it perturbation by perturbation; *Evaluate thoroughly* does.]"
        )
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Expected against actual error**")
        draw(error_calibration(rows, chosen=chosen), "expected-error", alt=alt.expected_errors(rows))
    with right:
        st.markdown("**How often the intervals hold**")
        draw(coverage_shares(rows), "coverage", alt=alt.coverage(rows))


def _all(run: RunDirectory, rows: pd.DataFrame) -> None:
    from hyperperturb.evaluation.metrics import METRICS

    section("Every held-out perturbation")
    known = [name for name in _COLUMNS if name in rows and rows[name].notna().any()]
    table = rows[known].rename(columns=_COLUMNS)
    notes = {_COLUMNS[name]: m.definition for name, m in METRICS.items() if name in _COLUMNS}
    notes |= {
        "error of baseline": "Of the best simple baseline, on the same perturbation.",
        "lead": "Error of the baseline minus error of the model: above 0 the model is nearer.",
        "strength": GLOSSARY["energy distance"],
        "genes": "Target genes.",
        "genes seen": "Target genes that some training perturbation had, on average over folds and seeds.",
        "expected error": "Of prediction and measurement together, known before looking at the effect (root mean "
        "square, natural-log units).",
        "actual error": "Root mean squared error (natural-log units).",
        "covered": "Share of the measured effects inside the 90 % interval.",
    }
    config: dict[str, Any] = {"perturbation": st.column_config.TextColumn(pinned=True)}
    for name in table.columns[1:]:
        config[name] = st.column_config.NumberColumn(
            format={"strength": "%.1f", "genes": "%d", "genes seen": "%.2g"}.get(name, "%.3f"),
            help=notes.get(name),
        )
    frame.table(
        table,
        f"{run.name}-perturbations",
        key="held_out",
        data=rows,
        height=380,
        column_config=config,
        on_select=lambda: _row_chosen(rows),
        selection_mode="single-row",
    )


def _row_chosen(rows: pd.DataFrame) -> None:
    chosen = st.session_state["table_held_out"]["selection"]["rows"]
    if chosen:
        select(perturbation=str(rows["perturbation"].iloc[chosen[0]]))
