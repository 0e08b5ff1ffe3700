import inspect
import types

import pytest

import galago

PUBLIC = ["ModelSpec", "Segmentation", "Segmenter", "errors", "load"]


def test_the_public_names_are_those_that_we_promise():
    assert sorted(galago.__all__) == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str):
    assert inspect.getdoc(getattr(galago, name))


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "errors"])
def test_every_public_function_is_typed(name: str):
    public = getattr(galago, name)
    methods = (
        [method for key, method in vars(public).items() if not key.startswith("_")]
        if inspect.isclass(public)
        else [public]
    )
    for function in filter(inspect.isfunction, methods):
        signature = inspect.signature(function)
        untyped = [
            key
            for key, value in signature.parameters.items()
            if key != "self" and value.annotation is inspect.Parameter.empty
        ]
        assert not untyped, f"{function.__qualname__}: {untyped}"
        assert signature.return_annotation is not inspect.Signature.empty, function.__qualname__


def test_all_errors_are_of_one_family():
    kinds = [
        value
        for value in vars(galago.errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert len(kinds) > 5
    assert all(issubclass(kind, galago.errors.GalagoError) for kind in kinds)
    assert isinstance(galago.errors, types.ModuleType)
