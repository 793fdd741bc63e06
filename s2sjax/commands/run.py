"""A trained run, opened: it decodes, scores and evaluates, symbols in and out."""

import dataclasses
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from s2sjax import environment, spec
from s2sjax.commands import forecasts
from s2sjax.commands.forecasts import Forecast
from s2sjax.config import Config
from s2sjax.errors import UsageError, unknown
from s2sjax.inference import load as loading
from s2sjax.inference import predict, stablehlo, weights
from s2sjax.inference.batches import Watch, nobody
from s2sjax.inference.evaluate import kind_of, split_outcomes
from s2sjax.inference.load import Trained, Which, check_length, longest_trained
from s2sjax.inference.predict import Query
from s2sjax.inference.stream import Stream
from s2sjax.models.seq2seq import parameter_count
from s2sjax.reporting.alignment import Alignment
from s2sjax.runs import code, journal, run_files
from s2sjax.runs.journal import plain
from s2sjax.tasks import Symbol, Task, Vocabulary, encode_source
from s2sjax.tasks.files.rows import features_of
from s2sjax.tasks.levels import Feature
from s2sjax.tasks.task import split_name
from s2sjax.tasks.vocabulary import symbols_of

END = "<eos>"  # how the end of an output is shown
EXPORTS = ("safetensors", "stablehlo")  # the formats of `Run.export`


def notice(line: str) -> None:
    """A line for a person, as a warning of Python's."""
    warnings.warn(line, stacklevel=3)


@dataclasses.dataclass(frozen=True, repr=False)
class Output:
    """One output of an n-best list, in symbols."""

    symbols: list[Symbol]
    text: str  # as a person writes them
    score: float  # the strategy's
    logprob: float  # in nats, the end of the output counted
    truncated: bool  # cut at its limit: it has no end
    more: dict[str, float]  # what the strategy says besides, e.g. "inclusion"
    attention: Alignment | None = None  # what it looked at, where asked for
    token_logprobs: np.ndarray | None = None  # [T] in nats, the end's last
    states: dict[str, np.ndarray] | None = None  # [T, D] each

    def __repr__(self) -> str:
        cut = ", truncated" * self.truncated
        return f"Output({self.text!r}, {self.numbers()}{cut})"

    def numbers(self) -> str:
        """Its log-probability, and what else is said of it in numbers."""
        numbers = {"logprob": self.logprob, "score": self.score}
        if self.score == self.logprob:
            del numbers["score"]
        numbers |= self.more
        return ", ".join(f"{name} {value:.4f}" for name, value in numbers.items())

    def to_json(self, *, attention: bool = False) -> dict[str, Any]:
        """What `decode --json` says of it, with its attention if that is wanted."""
        row: dict[str, Any] = {
            "output": self.symbols,
            "score": self.score,
            "logprob": self.logprob,
            "truncated": self.truncated,
            **self.more,
        }
        if self.token_logprobs is not None:
            row["token_logprobs"] = self.token_logprobs
        if attention and self.attention is not None:
            row["attention"] = self.attention.weights
        return row


@dataclasses.dataclass(frozen=True, repr=False)
class Decoded(Sequence[Output]):
    """What came of one input: its outputs, best first."""

    input: list[Symbol]
    outputs: tuple[Output, ...]
    expected: list[Symbol] | None  # what the task says is right, where it does
    features: tuple[str, ...] = ()  # tags beside the input

    @property
    def best(self) -> Output:
        """The first output."""
        return self.outputs[0]

    @property
    def output(self) -> list[Symbol]:
        """The symbols of the best output."""
        return self.best.symbols

    @property
    def text(self) -> str:
        """The best output as a person writes it."""
        return self.best.text

    @property
    def score(self) -> float:
        """The score of the best output."""
        return self.best.score

    @property
    def attention(self) -> Alignment | None:
        """What the best output looked at; a notebook shows it as a picture."""
        return self.best.attention

    def __getitem__(self, place: Any) -> Any:
        return self.outputs[place]

    def __len__(self) -> int:
        return len(self.outputs)

    def __repr__(self) -> str:
        lines = "".join(f"\n  {output!r}" for output in self.outputs)
        return f"Decoded(input={self.input}, {len(self)} outputs):{lines}"


class Scored(NamedTuple):
    """How probable one output is."""

    input: list[Symbol]
    output: list[Symbol]
    logprob: float  # in nats, the end of the output counted
    token_logprobs: np.ndarray  # [output + 1] float32, the end's last if there is one
    features: tuple[str, ...] = ()  # tags beside the input

    def __repr__(self) -> str:
        return f"Scored({self.output} of {self.input}, logprob {self.logprob:.4f})"


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A trained run, or several that decode together; `load` and `train` give one.

    Symbols go in and come out as people write them: integers of an integer task, of
    a text its text or its characters or words. Decoding, scoring and evaluation are
    those of the commands of these names, to the bit.
    """

    trained: Trained
    say: Callable[[str], None] = notice
    watch: Watch = nobody
    no_user_code: bool = False

    @property
    def path(self) -> Path:
        """Its directory (of the first)."""
        return self.trained.path

    @property
    def config(self) -> Config:
        """Its config."""
        return self.trained.config

    @property
    def task(self) -> Task:
        """Its task: vocabularies, and examples by split."""
        return self.trained.task

    @property
    def step(self) -> int:
        """The step of its parameters."""
        return self.trained.step

    @property
    def params(self) -> Any:
        """Its parameters, a nested dict of arrays."""
        return self.trained.params

    @property
    def model(self) -> Any:
        """The model that takes them, e.g. a `Seq2Seq`."""
        return self.trained.system.models[0]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """Its journal, a dict a line in order: `pandas.DataFrame` takes it.

        `kind` is "train" or "valid"; what was not finite is None.
        """
        return journal.read(self.path / run_files.METRICS)

    @property
    def test(self) -> dict[str, Any]:
        """Its best checkpoint's numbers on test data; empty before it has ended."""
        return run_files.read_object(self.path / run_files.TEST)

    def __repr__(self) -> str:
        config, count = self.config, len(self.trained.system.models)
        kind = f"{config.model.cell} of {config.model.units} units"
        together = f", {count} runs together" if count > 1 else ""
        return f"Run({self.path}: {self.task.name}, {kind}, step {self.step}{together})"

    def decode(
        self,
        inputs: Any,
        strategy: str | None = None,
        *,
        features: Any = (),
        attention: bool = False,
        prefix: Sequence[Symbol] | str = (),
        required: Sequence[Sequence[Symbol] | str] = (),
        banned: Sequence[Symbol] = (),
    ) -> Any:
        """Decodes one input, or each of several.

        Args:
          inputs: one input, a list of integers or a text; or a list of inputs.
          features: the tags beside it, "V;PST" or a list; of several inputs a text
            that is for all, or a list with the tags of each.
          strategy: e.g. `beam:size=5,n=3`; None: the config's.
          attention: whether outputs say what they looked at.
          prefix: how each output begins.
          required: phrases that each output holds.
          banned: symbols that no output holds.

        Returns:
          A `Decoded` for one input, a list of them for several.

        Raises:
          UsageError: symbols outside an integer vocabulary, an unknown strategy,
            attention of a model without, or what cannot be met.
        """
        self._check_symbols("forecast(..)")
        target = self.task.target_vocabulary
        sequences, is_one = _sequences(inputs, self.task.source_vocabulary)
        asked = (
            tuple(symbols_of("prefix", prefix, target)),
            tuple(tuple(symbols_of("required", each, target)) for each in required),
            tuple(symbols_of("banned", banned, target)),
        )
        queries = [
            Query(each, None, *asked, "inputs" if is_one else f"inputs[{place}]", tags)
            for place, (each, tags) in enumerate(
                zip(sequences, _tags(features, len(sequences), is_one), strict=True)
            )
        ]
        outputs = self.decode_queries(queries, strategy, attention=attention)
        return outputs[0] if is_one else outputs

    def decode_queries(
        self,
        queries: Sequence[Query],
        strategy: str | None = None,
        *,
        attention: bool = False,
        states: bool = False,
        token_logprobs: bool = False,
        one_program: bool = False,
    ) -> list[Decoded]:
        """Decodes inputs, each with what is asked of its own output.

        Args:
          queries: the inputs.
          strategy: None: the config's.
          attention: whether outputs say what they looked at.
          states: whether they have the decoder's states, `decoder_<layer>_<part>`.
          token_logprobs: whether they have the log-probability of each token.
          one_program: pad inputs to the width of training's longest, so that what is
            asked one by one is compiled once.
        """
        if attention and not self.config.model.looks:
            raise UsageError("attention=True: this model has no attention to show")
        self._announce_pattern()
        system = self._decoding_by(strategy).system
        ids = self._encoded([query._replace(output=None) for query in queries])
        width = longest_trained(self.task) if one_program else 0
        with environment.precision(self.config.train.precision):
            with self.watch("decoding") as passed:
                hypotheses = predict.predict(
                    *(system, ids),
                    attention=attention,
                    states=states,
                    width=width,
                    passed=passed,
                )
            if token_logprobs:
                with self.watch("scoring tokens") as passed:
                    hypotheses = predict.with_token_logprobs(
                        system, ids, hypotheses, passed
                    )
        return [
            Decoded(
                list(query.source),
                tuple(self._output(query, each) for each in nbest),
                self._expected(query),
                tuple(query.features),
            )
            for query, nbest in zip(queries, hypotheses, strict=True)
        ]

    def forecast(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        split: str | None = None,
        examples: int | None = None,
        horizon: int | None = None,
        strategy: str | None = None,
    ) -> Forecast:
        """Forecasts numbers: what follows the series of a file, or windows of a split.

        Args:
          path: of a file with the columns of training; each of its series is continued
            from the last row that has a target.
          split: train, valid or test, in place of a file.
          examples: of the split, the same ones every time; None: all.
          horizon: steps, of a file; None: as in training.
          strategy: mean, median or sample:n=200; None: the config's.

        Raises:
          UsageError: a run of symbols, a file that cannot be used, or neither a file
            nor a split.
        """
        if not self.config.task.of_numbers:
            raise UsageError(
                f"the task {self.config.task.name} writes symbols: use decode(..)"
            )
        if (path is None) == (split is None):
            came = "neither" if path is None else "both"
            raise UsageError(f"give a file or split=NAME; {came} came")
        trained = self._decoding_by(strategy)
        with environment.precision(self.config.train.precision):
            if path is None:
                name = split_name(split or "")
                found, said = forecasts.of_split(trained, name, examples)
            else:
                found, said = forecasts.of_file(trained, Path(path), horizon)
        for line in said:
            self.say(line)
        return found

    def _check_symbols(self, instead: str) -> None:
        if self.config.task.of_numbers:
            raise UsageError(
                f"the task {self.config.task.name} forecasts numbers: use {instead}"
            )

    def states(self, decoded: Sequence[Decoded]) -> dict[str, Any]:
        """The encoder's memory and states of inputs, and the decoder's of their best
        outputs, decoded with `states`; docs/decoding.md names the arrays.
        """
        sources = [
            encode_source(self.task, each.input, each.features)[0] for each in decoded
        ]
        encoded = predict.encode_sources(self.trained.system, sources)
        arrays: dict[str, Any] = {}
        for place, (source, each) in enumerate(zip(encoded, decoded, strict=True)):
            arrays[f"memory_{place}"] = _in_reading_order(self.task, source.memory.T).T
            for name, states in (each.best.states or {}).items():
                arrays[name.replace("decoder", f"decoder_{place}")] = states
            if each.attention is not None:
                arrays[f"attention_{place}"] = each.attention.weights
        if encoded[0].code is not None:
            arrays["code"] = np.stack([each.code for each in encoded])
        for layer, directions in enumerate(encoded[0].states):
            for direction, state in enumerate(directions):
                for part in range(len(state)):
                    name = f"state_{layer}_{('forward', 'backward')[direction]}"
                    arrays[f"{name}_{self.model.cell.names[part]}"] = np.stack(
                        [each.states[layer][direction][part] for each in encoded]
                    )
        return arrays

    def stream(self, batch: int = 1) -> Stream:
        """The beginning of sequences that are answered input by input.

            stream = run.stream()
            stream, answers = stream.step([0, 1])
            stream, answers = stream.finish()

        Args:
          batch: how many sequences are read beside one another.

        Raises:
          UsageError: the model has to read a whole source before it answers.
        """
        spec.between("batch", batch, 1, 10**6)
        return Stream.of(self.trained, batch, self.say)

    def score(self, inputs: Any, outputs: Any, *, features: Any = ()) -> Any:
        """How probable given outputs are: log-probabilities in nats.

        Args:
          inputs: one input, or a list of them; see `decode`.
          outputs: the output of it, or of each.
          features: the tags beside it, or beside each.

        Returns:
          A `Scored` for one input, a list of them for several.

        Raises:
          UsageError: unequally many, or a symbol outside an integer vocabulary.
        """
        self._check_symbols("evaluate(..), whose nll is that of what came")
        sources, is_one = _sequences(inputs, self.task.source_vocabulary)
        target = self.task.target_vocabulary
        given = [outputs] if is_one else list(outputs)
        if len(given) != len(sources):
            raise UsageError(f"inputs has {len(sources)} rows and outputs {len(given)}")
        queries = [
            Query(
                source,
                symbols_of("outputs" if is_one else f"outputs[{place}]", each, target),
                where="" if is_one else f"inputs[{place}]",
                features=tags,
            )
            for place, (source, each, tags) in enumerate(
                zip(sources, given, _tags(features, len(given), is_one), strict=True)
            )
        ]
        scored = self.score_queries(queries)
        return scored[0] if is_one else scored

    def score_queries(self, queries: Sequence[Query]) -> list[Scored]:
        """Scores the `output` of each query."""
        for query in queries:
            if query.output is None:
                raise UsageError(f"{query.where} has no field 'output' to score")
        ids = self._encoded(queries)
        with (
            environment.precision(self.config.train.precision),
            self.watch("scoring") as passed,
        ):
            scored = predict.score(self.trained.system, ids, passed)
        return [
            Scored(
                list(query.source),
                list(query.output or ()),
                float(tokens.sum()),
                tokens,
                tuple(query.features),
            )
            for query, tokens in zip(queries, scored, strict=True)
        ]

    def evaluate(
        self,
        split: str = "test",
        *,
        examples: int | None = None,
        strategy: str | None = None,
        oracle_length: bool = False,
        confusion: bool = False,
        ter: bool = False,
        predictions: bool = False,
    ) -> dict[str, Any]:
        """What `s2sjax eval --json` says of a split: numbers by name.

        Free-running: exact, token_accuracy, edit_distance; teacher-forced: nll and
        forced_token_accuracy; see docs/decoding.md.

        Args:
          split: train, valid (or dev, val) or test.
          examples: how many, the same ones every time; None: the whole split, and of
            train `TRAIN_EXAMPLES`.
          strategy: None: the config's.
          oracle_length: tell each output the length of its (first) reference.
          confusion: a symbol-by-symbol table too, by `confusion`.
          ter: the translation edit rate of texts too, which takes long.
          predictions: each output beside its references too, the worst first.

        Raises:
          UsageError: an unknown split or strategy, or training data that are gone.
        """
        split = split_name(split)
        if split not in self.task.buckets:
            self._announce_pattern()
        trained = self._decoding_by(strategy)
        if split == "train":
            trained = loading.with_training(trained)
        config = trained.config
        with (
            environment.precision(config.train.precision),
            self.watch(
                f"evaluation on {split}", "counting what the outputs are worth"
            ) as passed,
        ):
            results, sources = split_outcomes(
                *(trained, split, examples),
                oracle_length=oracle_length,
                warn=self.say,
                passed=passed,
            )
        about = (trained.task, config, self.step, split)
        kind = kind_of(self.model.readout)
        numbers = kind.evaluation(
            *about, results, sources, confusion=confusion, ter=ter, baselines=True
        )
        if oracle_length:
            numbers |= {"oracle_length": True, "search_errors": None}
        for line in kind.remarks(numbers):
            self.say(line)
        if predictions:
            rows = kind.predictions(self.task, results, sources)
            numbers["predictions"] = rows
        return plain(numbers)

    def export(
        self,
        out: str | os.PathLike[str],
        *,
        format: str = "safetensors",
        batch: int | None = None,
        width: int | None = None,
    ) -> int:
        """Writes the model for others: its parameters, or programs that need no s2sjax.

        Args:
          out: of "safetensors" a file, which holds config and vocabularies too; of
            "stablehlo" a folder, see docs/streams.md.
          format: one of these.
          batch: of stablehlo, how many inputs a program takes at once; None: 1.
          width: of stablehlo, the symbols of the longest input; None: of training's.

        Returns:
          How many numbers the parameters are.

        Raises:
          UsageError: it cannot be written, or is no format; or no platform takes the
            programs.
        """
        check_export(format, batch, width)
        if format == "safetensors":
            return weights.export(self.trained, Path(out))
        task = self.task
        stablehlo.export(
            self.trained,
            Path(out),
            batch=batch or 1,
            width=width or longest_trained(task) + task.source_eos,
            say=self.say,
        )
        return parameter_count(self.trained.system.params)

    def _encoded(self, queries: Sequence[Query]) -> list[Query]:
        """The queries in ids. Unknown symbols are named in a line, and so are inputs
        that are longer than those of training.

        Raises:
          UsageError: a query that cannot be, or an input that is too long to be read.
        """
        ids = [predict.encoded(query, self.task, self.say) for query in queries]
        bare = sum(not query.features for query in queries)
        if bare and self.task.source_vocabulary.features:
            self.say(
                f"{bare} of {len(queries)} inputs have no features, and sources of "
                f"training have; give e.g. features=V;PST"
            )
        longest = max((len(query.source) for query in ids), default=0)
        longer = check_length(self.trained, longest)
        if longer:
            self.say(longer)
        return ids

    def _decoding_by(self, strategy: str | None) -> Trained:
        """The models with another strategy; None: the config's."""
        if strategy is None:
            return self.trained
        config = loading.with_decode(self.config, strategy=strategy)
        loading.check_strategy(config)
        system = dataclasses.replace(self.trained.system, config=config)
        return self.trained._replace(config=config, system=system)

    def _announce_pattern(self) -> None:
        """Says that a task's file is executed, or refuses; see `code.announce`."""
        files = code.pattern(self.config)
        code.announce(self.path, files, self.say, refused=self.no_user_code)

    def _expected(self, query: Query) -> list[Symbol] | None:
        try:
            return self.task.expected(query.source)
        except UsageError as error:  # a user's pattern that cannot take this input
            self.say(str(error))
            return None

    def _output(self, query: Query, hypothesis: predict.Hypothesis) -> Output:
        target = self.task.target_vocabulary
        symbols = target.decode(hypothesis.output)
        attention = None
        if hypothesis.attention is not None:
            weights = _in_reading_order(self.task, hypothesis.attention)
            tags = map(str, map(Feature, query.features))
            end = [END] if self.task.source_eos else []
            attention = Alignment(weights, [*tags, *query.source, *end], symbols)
        return Output(
            symbols,
            target.join(symbols),
            hypothesis.score,
            hypothesis.logprob,
            hypothesis.truncated,
            hypothesis.more,
            attention,
            hypothesis.token_logprobs,
            hypothesis.states,
        )


def load(
    path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    checkpoint: Which = "best",
    *,
    strategy: str | None = None,
    combine: str | None = None,
    seed: int | None = None,
    no_user_code: bool = False,
    say: Callable[[str], None] = notice,
    watch: Watch = nobody,
) -> Run:
    """Opens a trained run; needs nothing but its directory, and executes no code of it
    but its copies of the files of one's own that it was trained with.

    Args:
      path: its directory; or several, to decode together (their task, config and
        strategy are the first's).
      checkpoint: "best", "last" or a step.
      strategy: another decoding strategy than the config's.
      combine: the mean of several: "probability" or "logprob"; None: the config's.
      seed: another seed, of test data that are generated and of decoding.
      no_user_code: refuse to execute a Python file: a run whose model or training is
        one, and what takes a task that is.
      say: takes one line for a person.
      watch: tells a person how far something is.

    Raises:
      UsageError: it is not a run (with the nearest that is), has no such checkpoint, or
        runs that do not have the same symbols.
    """
    single = isinstance(path, str | os.PathLike)
    paths: Any = [path] if single else list(path)  # type: ignore[arg-type]
    if not paths:
        raise UsageError(
            "path is an empty list; it takes a run's directory, or several"
        )
    if combine is not None and len(paths) == 1:
        raise UsageError(f"combine={combine} needs several runs, path=[DIR, DIR2]")
    trained = loading.open_ensemble(
        paths,
        checkpoint,
        combine=combine,
        strategy=strategy,
        seed=seed,
        no_user_code=no_user_code,
        say=say,
    )
    return Run(trained, say, watch, no_user_code)


def export(run: Run | str | os.PathLike[str], out: str | os.PathLike[str]) -> int:
    """Writes parameters, config and vocabularies as one safetensors file.

    Args:
      run: a run, or its directory.
      out: the file to write.

    Returns:
      How many numbers the parameters are.

    Raises:
      UsageError: no such run, or the file cannot be written.
    """
    return (run if isinstance(run, Run) else load(run)).export(out)


def check_export(format: str, batch: int | None, width: int | None) -> None:
    """Raises what is wrong with what `Run.export` is asked for."""
    if format not in EXPORTS:
        raise unknown("format", format, EXPORTS)
    for name, value, most in (("batch", batch, 10**6), ("width", width, 100_000)):
        if value is not None and format != "stablehlo":
            raise UsageError(f"{name}={value} is of format=stablehlo; this is {format}")
        if value is not None:
            spec.between(name, value, 1, most)


def _in_reading_order(task: Task, columns: np.ndarray) -> np.ndarray:
    """An array whose last axis is the source as the user gives it."""
    if not task.reverse_source:
        return columns
    end = columns.shape[-1] - task.source_eos  # which stays the last
    return np.concatenate([columns[..., :end][..., ::-1], columns[..., end:]], -1)


def _sequences(inputs: Any, vocabulary: Vocabulary) -> tuple[list[list[Symbol]], bool]:
    """The symbols of each input, and whether it is a single one."""
    given = inputs.tolist() if hasattr(inputs, "tolist") else inputs
    is_one = isinstance(given, str) or (
        vocabulary.kind == "integer" and any(True for _ in _whole_numbers(given))
    )
    if is_one:
        return [symbols_of("inputs", given, vocabulary)], True
    if not isinstance(given, Sequence):
        raise UsageError(f"inputs is {given!r:.60}; it is an input, or a list of them")
    return [
        symbols_of(f"inputs[{place}]", each, vocabulary)
        for place, each in enumerate(given)
    ], False


def _whole_numbers(given: Any) -> Iterator[int]:
    items = given if isinstance(given, Sequence) else ()
    return (each for each in items if isinstance(each, int))


def _tags(given: Any, count: int, is_one: bool) -> list[tuple[str, ...]]:
    """The features of each of so many inputs."""
    if is_one:
        return [features_of("features", given)]
    if isinstance(given, str):
        return [features_of("features", given)] * count
    if given and len(given) != count:
        raise UsageError(f"inputs has {count} rows and features {len(given)}")
    rows = given or [()] * count
    return [features_of(f"features[{place}]", row) for place, row in enumerate(rows)]


def is_list(strategy: str) -> bool:
    """Whether a strategy gives a list of outputs, be it of one."""
    return spec.parse(strategy).name != "greedy"
