"""`s2sjax export`: a trained model's parameters as one file, or its programs."""

from pathlib import Path

from s2sjax.cli import printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed
from s2sjax.schema import STRATEGY

COMMAND = Command(
    "export",
    "Writes a run's parameters, config and vocabularies as one safetensors file;\n"
    "or a folder of programs (decode, and a step of the decoder), StableHLO by\n"
    "jax.export, that run without s2sjax.",
    flags=(
        Flag("workdir", "the run", value="DIR", required=True, argument="path"),
        Flag(
            "out",
            "the file to write, or the folder to make",
            value="FILE.safetensors|DIR",
            required=True,
            argument="out",
        ),
        Flag(
            "format",
            "what to write",
            "safetensors",
            value="safetensors|stablehlo",
            argument="format",
        ),
        Flag("strategy", STRATEGY, value="SPEC", argument="strategy"),
        Flag(
            "batch",
            "stablehlo: inputs that a program takes at once; unset: 1",
            type=int,
            least=1,
            most=10**6,
            argument="batch",
        ),
        Flag(
            "width",
            "stablehlo: symbols of the longest input; unset: as in training",
            type=int,
            least=1,
            most=100_000,
            argument="width",
        ),
        runs.CHECKPOINT,
    ),
    examples=(
        "s2sjax export --workdir=runs/reversed --out=reversed.safetensors",
        "s2sjax export --workdir=runs/reversed --format=stablehlo --out=reversed",
    ),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    if values.format == "safetensors":
        start.check_output("out", values.out, (".safetensors",))
    start.reading(values.workdir)

    from s2sjax.commands.run import check_export, load
    from s2sjax.inference import programs, stablehlo

    check_export(values.format, values.batch, values.width)
    if values.format == "stablehlo":
        stablehlo.check(Path(values.out))
    which = runs.checkpoint(values.checkpoint)
    run = load(values.workdir, which, strategy=values.strategy, say=parsed.say)
    count = run.export(
        values.out, format=values.format, batch=values.batch, width=values.width
    )
    printing.line(f"{values.out}: {count:,} parameters of step {run.step}")
    if values.format == "stablehlo":
        about = programs.load(values.out).about
        named, platforms = map(", ".join, (about["programs"], about["platforms"]))
        printing.line(
            f"{named} for {about['batch']} x {about['width']} symbols, by "
            f"{about['strategy']}, on {platforms}"
        )
    return 0
