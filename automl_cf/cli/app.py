"""The commands and their options; what they do stands in the other modules."""

from pathlib import Path
from typing import Annotated

import typer

from automl_cf import __version__
from automl_cf.cli import (
    check,
    compare_runs,
    data,
    doctor,
    figure,
    listing,
    new,
    published,
    reproduce,
    table,
    verdict,
    verify,
    watch,
)
from automl_cf.cli import compare as comparing
from automl_cf.cli.arguments import Address, RunFolder, Workers
from automl_cf.cli.errors import guarded

app = typer.Typer(
    name="automl-cf",
    help="Search for interaction functions of collaborative filtering, and compare searchers fairly.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[
    Path | None,
    typer.Option(help="Folder of the run, new or empty.", show_default="results/NAME-DATE-TIME", metavar="FOLDER"),
]
Plugins = Annotated[
    list[Path] | None,
    typer.Option(
        "--plugin",
        help="A Python file, whose searchers, operations, models and data sets can then be named; may be repeated.",
        metavar="FILE",
    ),
]


def main() -> None:
    """Run the command line."""
    app()


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"automl-cf {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version),
    ] = False,
) -> None:
    pass


@app.command()
@guarded
def compare(
    dataset: Annotated[
        str,
        typer.Option(
            help="A data set's name (see: automl-cf list datasets), planted for ratings made by a known "
            "function, or the path of a ratings file (CSV, TSV, Parquet).",
            metavar="NAME|PATH",
        ),
    ] = comparing.DATASET,
    data_option: Annotated[
        list[str] | None,
        typer.Option(
            help="An option of the data set; may be repeated. For planted such as noise=0.1, for a file such "
            "as index_columns=user,item.",
            metavar="KEY=VALUE",
        ),
    ] = None,
    searchers: Annotated[
        list[str] | None,
        typer.Option(
            help="Searchers, separated by commas or repeated (see: automl-cf list searchers), or all.",
            show_default=", ".join(comparing.SEARCHERS),
            metavar="NAME,...",
        ),
    ] = None,
    operations: Annotated[
        list[str] | None,
        typer.Option(
            help="Operations to search among, separated by commas or repeated (see: automl-cf list operations).",
            show_default="the paper's five",
            metavar="NAME,...",
        ),
    ] = None,
    plugin: Plugins = None,
    dim: Annotated[str, typer.Option(help="Embedding dimension, or several: 4,8,16.", metavar="N,...")] = comparing.DIM,
    seeds: Annotated[
        str,
        typer.Option(
            help="N for seeds 1 to N, or a list: 1,3,5. A list of one ends with a comma: 7,",
            metavar="N|N,...",
        ),
    ] = comparing.SEEDS,
    trials: Annotated[
        int | None,
        typer.Option(
            help="Architectures tried per cell. One-shot searchers need one of the next two budgets as well.",
            metavar="N",
        ),
    ] = None,
    time_budget: Annotated[
        float | None,
        typer.Option(
            help="Seconds of search per cell: thinking, training and validating.",
            show_default=f"{comparing.SECONDS:g}, if no other budget is given",
            metavar="SECONDS",
        ),
    ] = None,
    visits: Annotated[
        int | None,
        typer.Option(help="Visits of ratings per cell, a budget that does not depend on the machine.", metavar="N"),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="fused: fast, on the CPU. reference: any device and operation. batched: like it, "
            "and the lambda grid at once.",
            show_default="fused, or with GPUs batched",
            metavar="fused|reference|batched",
        ),
    ] = None,
    backend: Annotated[
        str,
        typer.Option(
            help="ray: cells side by side. inline: one after the other, in this process.",
            metavar="ray|inline",
        ),
    ] = "ray",
    workers: Annotated[int, typer.Option(help="Cells at a time with ray; 0: one per core.", metavar="N")] = 0,
    gpus_per_worker: Annotated[
        float, typer.Option(help="GPUs per cell, possibly a fraction; 0: the CPU.", metavar="N")
    ] = 0.0,
    address: Address = None,
    trial_seconds: Annotated[
        float | None,
        typer.Option(
            help="Seconds after which a trial of which nothing came is ended.", show_default="3600", metavar="SECONDS"
        ),
    ] = None,
    memory_gb: Annotated[
        float | None,
        typer.Option(
            help="Memory that the process of a cell may hold.", show_default="its share of the machine's", metavar="GB"
        ),
    ] = None,
    isolation: Annotated[
        str,
        typer.Option(
            help="process: each cell in a process of its own, which these limits are for. none: not. "
            "auto: with ray, not inline.",
            metavar="auto|process|none",
        ),
    ] = "auto",
    out: Out = None,
) -> None:
    """Compare searchers on one data set: search, score on the test part, draw a curve.

    A cell is one searcher with one seed and dimension. Its search ends with the budget that is used up first.
    """
    with comparing.named_as_options():
        values = comparing.compare_study_values(
            dataset=dataset,
            data_options=data_option or (),
            searchers=searchers or comparing.SEARCHERS,
            operations=operations or (),
            plugins=plugin or (),
            dim=dim,
            seeds=seeds,
            trials=trials,
            time_budget=time_budget,
            visits=visits,
            engine=engine,
            backend=backend,
            workers=workers,
            gpus_per_worker=gpus_per_worker,
            address=address,
            trial_seconds=trial_seconds,
            memory_gb=memory_gb,
            isolation=isolation,
        )
        from automl_cf.cli import running

        running.load()
        from automl_cf.suite.study import make_study

        running.run(make_study(values, comparing.SOURCE), out)


@app.command()
@guarded
def run(
    study: Annotated[
        str,
        typer.Argument(
            help="A TOML file, a shipped study's name (see: automl-cf list studies), or the manifest.json of a run.",
            metavar="STUDY",
        ),
    ],
    plugin: Plugins = None,
    address: Address = None,
    workers: Workers = None,
    out: Out = None,
) -> None:
    """Run a study: a TOML file, one that is shipped, or that of a run once more."""
    from automl_cf.cli import running
    from automl_cf.cli.studies import find_study

    running.load()
    running.run(find_study(study).with_plugins(plugin or ()), out, address, workers)


@app.command()
@guarded
def resume(
    folder: RunFolder,
    plugin: Plugins = None,
    accept_changes: Annotated[
        bool,
        typer.Option(
            "--accept-changes",
            help="Go on although the code or a version that results depend on has changed, and record that.",
        ),
    ] = False,
    repair: Annotated[
        bool,
        typer.Option(
            "--repair",
            help="Leave out what is damaged of the log, which is kept beside, and go on from the last good events.",
        ),
    ] = False,
    address: Address = None,
    workers: Workers = None,
) -> None:
    """Go on with an interrupted run; what was finished is not done again.

    The run has copies of its plug-ins; a --plugin that is given must be as it was.
    """
    from automl_cf.cli import running

    running.resume(folder, plugin or (), accept_changes, repair, address, workers)


@app.command()
@guarded
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folder of a run, such as results/NAME-DATE-TIME, or several.", metavar="RUN..."),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="HTML file to write.",
            show_default="report.html in the run's folder, or for several runs in this one",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Redraw the curve, summary, tables and HTML report of a run from its stored events.

    Of several runs, write one HTML report with a section for each and what can be said across them, no more.
    """
    from automl_cf.cli import running

    running.report(folders, out)


@app.command()
@guarded
def export(
    folder: RunFolder,
    out: Annotated[Path, typer.Option(help="Folder of the model, new or empty.", metavar="FOLDER")] = Path("model"),
    dataset: Annotated[str | None, typer.Option(help="Of a run of several data sets: which.", metavar="NAME")] = None,
    searcher: Annotated[str | None, typer.Option(help="Only what this searcher found.", metavar="NAME")] = None,
    dim: Annotated[int | None, typer.Option(help="Only of this dimension.", metavar="N")] = None,
    seed: Annotated[int | None, typer.Option(help="Only of this seed.", metavar="N")] = None,
) -> None:
    """Train the best model of a run on all ratings but the test ones, and store it to be taken home.

    Validation chooses which is best; test ratings choose nothing.
    """
    from automl_cf.cli import model, running

    running.load()
    model.export(folder, out, dataset, searcher, dim, seed)


@app.command()
@guarded
def predict(
    model: Annotated[Path, typer.Argument(help="Folder of a model, as export writes it.", metavar="MODEL")],
    file: Annotated[
        Path,
        typer.Argument(help="CSV or TSV with a header, or Parquet, with the model's columns.", metavar="FILE"),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file to write; else CSV on standard output.", metavar="FILE"),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Predict ratings for rows of names; those that the model does not know count as the mean of the known."""
    from automl_cf import plugins
    from automl_cf.cli import model as models

    plugins.load(plugin or ())
    models.predict(model, file, out)


@app.command()
@guarded
def recommend(
    model: Annotated[Path, typer.Argument(help="Folder of a model, as export writes it.", metavar="MODEL")],
    users: Annotated[
        list[str] | None,
        typer.Option(
            help="Users, separated by commas or repeated.", show_default="all that it knows", metavar="NAME,..."
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", "-n", help="How many items for each user.", metavar="N")] = 10,
    context: Annotated[
        list[str] | None,
        typer.Option(
            help="For a model of more than users and items: a further column's name; may be repeated.",
            show_default="the mean of those that are known",
            metavar="COLUMN=NAME",
        ),
    ] = None,
    seen: Annotated[
        Path | None,
        typer.Option(help="CSV, TSV or Parquet file with users and items that are to be left out.", metavar="FILE"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="CSV or Parquet file to write; else CSV on standard output.", metavar="FILE"),
    ] = None,
    plugin: Plugins = None,
) -> None:
    """Recommend to each user the items with the highest predictions.

    A user that the model does not know counts as the mean of the known.
    """
    from automl_cf import plugins
    from automl_cf.cli import model as models

    plugins.load(plugin or ())
    models.recommend(model, users or (), n, context or (), seen, out)


app.command("figure")(guarded(figure.figure))
app.command("table")(guarded(table.table))
app.command("compare-runs")(guarded(compare_runs.compare_runs))
app.command("watch")(guarded(watch.watch))
app.command("published")(guarded(published.published))
app.command("reproduce")(guarded(reproduce.reproduce))
app.command("verdict")(guarded(verdict.verdict))
app.command("verify")(guarded(verify.verify))
app.command("list")(guarded(listing.list_all))
app.command("check")(guarded(check.check))
app.command("new")(guarded(new.new))
app.add_typer(data.app, name="data")
app.command("doctor")(guarded(doctor.doctor))
