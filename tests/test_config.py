"""The config: every field is checked, and JSON gives back what was written."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s2sjax import config
from s2sjax.errors import UsageError


def valid(**changes):
    edited = config.base_config()
    edited.train.steps = 10
    for path, value in changes.items():
        edited.update_from_flattened_dict({path.replace("__", "."): value})
    return edited


def values_of(field):
    """Possible values of a field, by its own declaration."""
    least, most = field.metadata["least"], field.metadata["most"]
    if field.metadata["choices"]:
        return st.sampled_from(field.metadata["choices"])
    if field.type is int:
        return st.integers(int(least or 0), int(most or 10**6))
    if field.type is float:
        return st.floats(least or 0.0, most if most is not None else 1e6)
    return {bool: st.booleans(), str: st.text(max_size=8)}[field.type]


CONFIGS = st.fixed_dictionaries(
    {path: values_of(field) for path, field in config.fields().items()}
)


def nested(flat):
    tree = {}
    for path, value in flat.items():
        *parents, last = path.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return tree


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
@given(CONFIGS)
def test_json_round_trip_and_every_possible_value_is_accepted(flat):
    flat["train.epochs"] = None
    flat["task.min_length"] = min(flat["task.min_length"], flat["task.length"])
    flat["task.test_share"] = min(flat["task.test_share"], 0.05)
    flat["model.bridge"] = "zero"
    flat["model.attention"] = "bahdanau"
    flat["train.feeding"] = "argmax"
    flat["model.architecture"], flat["model.pooling"] = "encoder_decoder", "last"
    flat["model.lookahead"] = flat["model.latent"] = flat["train.tbptt"] = 0
    flat["train.symbol_weights"] = '{"<eos>": 2.0}'
    flat["model.embedding"] = max(flat["model.embedding"], 1)
    flat["model.embedding_file"] = flat["model.embedding_file"] or "a"
    flat["model.share_embeddings"] = False
    flat["task.level"], flat["task.source_level"] = "subword:a.model", None
    flat["task.target_level"] = "space"
    resolved = config.resolve(nested(flat))
    for name in (*config.PLACES, *config.EMBEDDING_FILES):  # which become absolute
        flat[name] = config.flatten(resolved)[name]
    assert config.flatten(resolved) == flat
    assert config.resolve(json.loads(config.canonical_json(resolved))) == resolved
    assert hash(resolved) == hash(config.resolve(nested(flat)))


@pytest.mark.parametrize("path", config.fields())
def test_every_field_refuses_what_is_not_its_own(path):
    field = config.fields()[path]
    wrong = [[1, 2], (1,), {"a": 1}, b"x"]
    wrong += [3] if field.type is str else ["x"]
    wrong += [True] if field.type is not bool else [1]
    wrong += [0.5] if field.type is int else []
    wrong += [float("nan"), float("inf")] if field.type is float else []
    least, most = field.metadata["least"], field.metadata["most"]
    wrong += [least - 1] if least is not None else []
    wrong += [max(most + 1, most * 2)] if most is not None else []
    wrong += [None] if not field.optional else []
    for value in wrong:
        with pytest.raises(UsageError) as told:
            config.resolve(nested({"train.steps": 1} | {path: value}))
        assert path in str(told.value) and "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"task__min_length": 11}, "task.min_length=11"),
        ({"train__feeding_probability": 0.5}, "train.feeding_probability=0.5"),
        ({"train__feeding_schedule": "linear:steps=9"}, "schedule=linear:steps=9 mean"),
        ({"train__feeding_unit": "batch"}, "train.feeding_unit=batch means nothing"),
        ({"model__context": "readout"}, "model.context=readout means nothing"),
        ({"model__lookahead": 2}, "lookahead=2 means nothing with model.architecture"),
        ({"model__pooling": "mean"}, "use e.g. model.architecture=classifier"),
        (
            {"model__context": "constant", "model__attention": "dot"},
            "model.attention=dot means nothing with model.context=constant",
        ),
        (
            {"model__latent": 3, "model__attention": "dot"},
            "model.attention=dot means nothing with model.latent=3",
        ),
        ({"model__latent": 3, "model__bridge": "mean"}, "model.bridge=mean means noth"),
        (
            {"train__feeding": "none", "train__feeding_unit": "batch"},
            "train.feeding_unit=batch means nothing with train.feeding=none",
        ),
        *(
            (
                {"model__architecture": "aligned", path: value},
                f"{path.replace('__', '.')}={value} means nothing with "
                f"model.architecture=aligned; use e.g. model.arch.*=encoder_decoder",
            )
            for path, value in (
                *(("model__attention", "dot"), ("model__bridge", "mean")),
                *(("model__context", "constant"), ("model__latent", 2)),
                *(("model__dropout_state", 0.5), ("model__tie_output", True)),
                *(("train__feeding", "argmax"), ("model__bridge", "zero")),
                *(("decode__length_extra", 3), ("task__source_eos", True)),
                *(("task__reverse_source", True), ("task__features", "3")),
            )
        ),
        ({"train__epochs": 2}, "both"),
        ({"train__steps": None}, "neither"),
        ({"task__valid_share": 0.5, "task__test_share": 0.5}, "test_share"),
        ({"task__level": "wrd"}, "unknown task.level 'wrd'; did you mean 'word'?"),
        ({"task__source_level": ""}, "unknown task.source_level ''"),
        ({"task__target_level": "subword"}, "lacks its model; write subword:FILE"),
        ({"task__level": "char:x"}, "task.level=char:x: char takes no argument"),
    ],
)
def test_fields_that_do_not_go_together(changes, told):
    with pytest.raises(UsageError, match=told):
        config.resolve(valid(**changes))


def test_base_config_is_locked_typed_and_has_every_field():
    edited = config.base_config()
    assert list(config.flatten(edited)) == list(config.fields())
    with pytest.raises(AttributeError, match="hiden"):
        edited.model.hiden = 3
    with pytest.raises(TypeError):
        edited.model.units = "many"


def test_optional_fields_can_be_set_and_unset():
    # A field that is a bare None could take no override; a placeholder can.
    edited = valid(task__min_length=3)
    assert config.resolve(edited).task.min_length == 3
    edited.task.min_length = None
    assert config.resolve(edited).task.min_length is None


def test_whole_numbers_written_as_floats():
    edited = valid().to_dict()
    edited["train"]["steps"] = 1e3
    edited["train"]["learning_rate"] = 1
    resolved = config.resolve(edited)
    assert type(resolved.train.steps) is int and resolved.train.steps == 1000
    assert type(resolved.train.learning_rate) is float


@pytest.mark.parametrize(
    ("asked", "near"),
    [
        ("model.hidden_units", "model.units"),
        ("model.unit", "model.units"),
        ("units", "model.units"),
        ("decode.batch_sise", "decode.batch_size"),
        ("train.batch_sise", "train.batch_size"),
        ("qqqq", "s2sjax config show"),
    ],
)
def test_unknown_fields_name_the_nearest(asked, near):
    assert near in str(config.unknown_field(asked))
    with pytest.raises(UsageError, match="unknown field"):
        config.resolve(nested({asked: 1}))


def test_difference_is_what_differs():
    one = config.resolve(valid())
    other = config.resolve(valid(model__units=7, seed=3))
    assert config.difference(one, one) == {}
    assert config.difference(one, other) == {
        "seed": (0, 3),
        "model.units": (128, 7),
    }
    assert config.config_hash(one) != config.config_hash(other)


def test_fields_that_may_differ_exist():
    assert set(config.MAY_DIFFER) <= set(config.fields())


def test_every_field_has_a_comment_of_one_line():
    for field in config.fields().values():
        assert field.metadata["doc"] and "\n" not in field.metadata["doc"]


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.resolve(valid()).seed = 1


@pytest.mark.parametrize(
    ("arg", "told"),
    [
        ("smok", "did you mean 'smoke'"),
        ("units=many", "units=many"),
        ("smoke=perhaps", "true or false"),
    ],
)
def test_impossible_variants(arg, told):
    with pytest.raises(UsageError, match=told):
        config.parse_arg(arg, smoke=False, units=3)


def test_variants():
    assert vars(config.parse_arg(None, smoke=False)) == {"smoke": False}
    got = config.parse_arg("smoke,rate=0.5, kind=a", smoke=False, rate=1.0, kind="b")
    assert vars(got) == {"smoke": True, "rate": 0.5, "kind": "a"}


def test_read_gives_back_what_was_written(tmp_path):
    resolved = config.resolve(valid())
    path = tmp_path / "config.json"
    path.write_text(config.canonical_json(resolved))
    assert config.read(path) == resolved


@pytest.mark.parametrize(
    "text", ["", "[1]", '{"model": 3}', '{"model": {"unit": 3}}', "{", "\xff"]
)
def test_read_refuses_in_one_line(tmp_path, text):
    path = tmp_path / "config.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UsageError) as told:
        config.read(path)
    assert str(path) in str(told.value) and "\n" not in str(told.value)
    with pytest.raises(UsageError, match="missing"):
        config.read(tmp_path / "missing.json")
