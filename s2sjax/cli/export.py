"""`s2sjax export`: a trained model's parameters as one file."""

from s2sjax.cli import printing, runs, start
from s2sjax.cli.command import Command, Flag
from s2sjax.cli.flags import Parsed

COMMAND = Command(
    "export",
    "Writes a run's parameters, config and vocabularies as one safetensors file.",
    flags=(
        Flag("workdir", "the run", value="DIR", required=True, argument="path"),
        Flag(
            "out",
            "the file to write",
            value="FILE.safetensors",
            required=True,
            argument="out",
        ),
        runs.CHECKPOINT,
    ),
    examples=("s2sjax export --workdir=runs/reversed --out=reversed.safetensors",),
)


def main(parsed: Parsed) -> int:
    """Runs the command; returns the exit code."""
    values = parsed.values
    start.check_output("out", values.out, (".safetensors",))
    start.reading(values.workdir)

    from s2sjax.commands.run import export, load

    run = load(values.workdir, runs.checkpoint(values.checkpoint), say=parsed.say)
    count = export(run, values.out)
    printing.line(f"{values.out}: {count:,} parameters of step {run.step}")
    return 0
