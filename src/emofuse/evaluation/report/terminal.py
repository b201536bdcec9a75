"""The table of all systems, for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from emofuse.core.number_format import interval, number, percent
from emofuse.evaluation.results import in_order, shown


def summary_table(results: Mapping[str, Any]) -> Table:
    """The figures of each system in results.json, as a table for a Rich console."""
    corpus = results.get("corpus", {})
    recipe = results.get("recipe", {}).get("name", "")
    caption = "speaker-independent" if results.get("speaker_independent") else "NOT speaker-independent"
    if corpus.get("synthetic"):
        caption += "; synthetic corpus: the figures say nothing about people"
    names = shown(results["systems"])
    if "fused" in names:
        caption += "; fused: the classifier chosen on inner folds, the figure to quote"
    table = Table(
        title=f"{recipe} · {results.get('protocol', '')} · in %, log loss in nats",
        caption=caption,
        title_justify="left",
    )
    table.add_column("system", no_wrap=True)
    for heading in ("accuracy", "95 % interval", "UAR", "macro-F1", "log loss", "ECE"):
        table.add_column(heading, justify="right", no_wrap=True)
    systems = results["systems"]
    best = max(systems[name]["accuracy"] for name in names)
    for name in names:
        system = systems[name]
        accuracy = percent(system["accuracy"])
        table.add_row(
            name,
            f"[bold]{accuracy}[/bold]" if system["accuracy"] == best else accuracy,
            interval(system.get("accuracy_ci95")),
            percent(system.get("uar")),
            percent(system.get("f1_macro")),
            number(system.get("log_loss")),
            percent(system.get("ece")),
            end_section=name == "face",
        )
    return table


def corpora_table(corpora: Mapping[str, Any]) -> Table:
    """The figures of each system on each of several corpora, as a table for a Rich console."""
    table = Table(title="By corpus, among the emotions that it has · in %", title_justify="left")
    table.add_column("corpus", no_wrap=True)
    table.add_column("system", no_wrap=True)
    for heading in ("emotions", "takes", "accuracy", "UAR", "95 % interval"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in in_order(corpora):
        for one in corpora[name]:
            table.add_row(
                one["name"],
                name,
                str(len(one["emotions"])),
                str(one["n"]),
                percent(one["accuracy"]),
                percent(one["uar"]),
                interval(one.get("uar_ci95")),
            )
    return table


def raters_table(raters: Mapping[str, Any]) -> Table:
    """The figures of each system against the shares of several raters, as a table for a Rich console."""
    first = raters[in_order(raters)[-1]]
    table = Table(
        title=f"Against all raters of {first['n']} clips · agreement in %, log loss in nats",
        caption=f"two raters agree in {percent(first['between_raters'])} % of draws; at most "
        f"{percent(first['highest'])} % can be agreed with; "
        f"the log loss is at least {number(first['entropy'])}",
        title_justify="left",
    )
    table.add_column("system", no_wrap=True)
    for heading in ("raters who agree", "95 % interval", "log loss"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name in shown(raters):
        one = raters[name]
        table.add_row(
            name, percent(one["agreement"]), interval(one.get("agreement_ci95")), number(one["log_loss"])
        )
    return table
