"""Specs: what is written is what is called."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s2sjax import spec
from s2sjax.errors import UsageError
from s2sjax.spec import Spec

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**6), 10**6),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["words", "model.bin", "a/b", "x-1"]),
)


def adam(learning_rate, b1=0.9, steps=10, nesterov=False, kind="plain", mask=None):
    return learning_rate, b1, steps, nesterov, kind, mask


TABLE = {"adam": adam}


@settings(deadline=None)
@given(NAMES, st.dictionaries(NAMES, VALUES, max_size=4))
def test_written_and_parsed_again_is_the_same(name, arguments):
    one = Spec(name, tuple(arguments.items()))
    assert spec.parse(str(one)) == one
    listed = ", ".join(
        f"{key} = {str(value).lower() if isinstance(value, bool) else value}"
        for key, value in arguments.items()
    )
    assert spec.parse(f"{name}({listed})") == one


def test_a_list_of_numbers_is_one_value():
    for text in (
        "quantile:levels=0.1,.5,9e-1,n=3",
        "quantile(levels=0.1,.5,9e-1, n=3)",
    ):
        parsed = spec.parse(text)
        assert parsed.arguments == (("levels", "0.1,.5,9e-1"), ("n", 3))
        assert spec.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("", "''"),
        ("beam size=3", "beam size=3"),
        ("beam:size", "size"),
        ("beam:size=", "size="),
        ("beam:=3", "=3"),
        ("beam:size=1,size=2", "twice"),
        ("beam(size=3", "beam(size=3"),
        ("3beam", "3beam"),
    ],
)
def test_what_is_no_spec_is_told(text, came):
    with pytest.raises(UsageError) as told:
        spec.parse(text)
    assert came in str(told.value) and "\n" not in str(told.value)


def test_call_gives_each_argument_in_the_type_of_its_default():
    text = "adam:b1=1,steps=1e3,nesterov=true,kind=7"
    got = spec.call("optimiser", text, TABLE, 0.1)
    assert got == (0.1, 1.0, 1000, True, "7", None)
    assert [type(value) for value in got[1:5]] == [float, int, bool, str]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("adm", "did you mean 'adam'"),
        ("adam:nesterof=true", "did you mean 'nesterov'"),
        ("adam:learning_rate=1", "learning_rate"),
        ("adam:b1=high", "b1=high is not a number"),
        ("adam:b1=true", "b1=true is not a number"),
        ("adam:steps=0.5", "steps=0.5 is not a whole number"),
        ("adam:nesterov=1", "nesterov=1 is not true or false"),
        ("adam:b1=nan", "b1=nan is not a finite number"),
        ("adam:mask=inf", "mask=inf is not a finite number"),
    ],
)
def test_call_refuses_in_one_line(text, told):
    with pytest.raises(UsageError) as refused:
        spec.call("optimiser", text, TABLE, 0.1)
    assert told in str(refused.value) and "\n" not in str(refused.value)


def test_a_missing_argument_is_named():
    with pytest.raises(UsageError, match="learning_rate"):
        spec.call("optimiser", "adam", TABLE)


def test_arguments_that_no_text_can_give_are_not_offered():
    def scale(by=math.pi, like=(1, 2)):
        return by

    with pytest.raises(UsageError, match="like"):
        spec.call("scale", "scale:like=3", {"scale": scale})
