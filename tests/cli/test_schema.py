"""Arguments are fitted to the contract's types before anything is sent; what does not fit is named by its path."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from esb_cli.failures import Exit, Failure
from esb_cli.formats import shown
from esb_cli.lock import Lock
from esb_cli.schema import Fitter, Misfit

FITTER = Fitter(
    definitions={
        "User": {
            "type": "object",
            "properties": {"id": {"type": "integer"}, "name": {"type": "string"}},
            "required": ["id", "name"],
        }
    }
)
USER = {"$ref": "#/$defs/User"}


def text(**more: str) -> dict[str, str]:
    """The schema of text of some format."""
    return {"type": "string", **more}


@pytest.mark.parametrize(
    ("value", "schema", "carried"),
    [
        (3, {"type": "integer"}, 3),
        (Decimal("3.0"), {"type": "integer"}, 3),
        (3, {"type": "number"}, 3.0),
        (Decimal("12.50"), text(format="decimal"), "12.50"),
        ("12.50", text(format="decimal"), "12.50"),
        ("2026-11-23T10:00:00+01:00", text(format="date-time"), datetime(2026, 11, 23, 9, tzinfo=UTC)),
        ("2026-11-23", text(format="date"), "2026-11-23"),
        ("PT1H30M", text(format="duration"), "PT1H30M"),
        ("6F1E2F0E-8A4D-4B4E-9C3F-0A1B2C3D4E5F", text(format="uuid"), "6f1e2f0e-8a4d-4b4e-9c3f-0a1b2c3d4e5f"),
        ("AAEC", text(contentEncoding="base64"), b"\x00\x01\x02"),
        (None, {"anyOf": [USER, {"type": "null"}]}, None),
        ({"id": 1, "name": "Ann"}, {"anyOf": [USER, {"type": "null"}]}, {"id": 1, "name": "Ann"}),
        ("red", {"enum": ["red", "blue"]}, "red"),
        ([1, "a"], {"type": "array", "prefixItems": [{"type": "integer"}, text()], "items": False}, [1, "a"]),
        (
            {"1": "a"},
            {"type": "object", "additionalProperties": text(), "propertyNames": {"type": "integer"}},
            {1: "a"},
        ),
        ({"any": [Decimal("1.5")]}, {}, {"any": [1.5]}),
    ],
)
def test_what_fits_is_carried_in_its_own_form(value: object, schema: dict[str, Any], carried: object) -> None:
    """Times become times, base64 becomes bytes, decimals keep their digits."""
    fitted = FITTER.fit(value, schema, "x")
    assert fitted == carried
    assert type(fitted) is type(carried)


@pytest.mark.parametrize(
    ("value", "schema", "words"),
    [
        ("3", {"type": "integer"}, "x: expected an integer, found text"),
        (True, {"type": "integer"}, "x: expected an integer, found a boolean"),
        (1, {"type": "boolean"}, "x: expected true or false, found an integer"),
        (Decimal("1.5"), {"type": "integer"}, "x: expected an integer, found a number"),
        (3, text(), "x: expected text, found an integer"),
        ("dear", text(format="decimal"), "x: expected a decimal number, found other text"),
        ("2026-11-23T10:00:00", text(format="date-time"), "x: expected a time with a zone"),
        ("2026-11-23", text(format="date-time"), "x: expected a time with a zone"),
        ("1h", text(format="duration"), "x: expected a duration"),
        ("a!", text(contentEncoding="base64"), "x: expected bytes as base64"),
        ("green", {"enum": ["red", "blue"]}, "x: expected one of 'red', 'blue'"),
        (1, {"enum": [True]}, "x: expected one of True"),
        ({"id": "a", "name": "Ann"}, USER, "x.id: expected an integer, found text"),
        ({"id": 1}, USER, "x.name: expected text, it is missing"),
        ({"id": 1, "name": "Ann", "nmae": 1}, USER, "x.nmae: expected id, name, it is unknown"),
        ({"id": "a", "name": "b"}, {"anyOf": [USER, {"type": "null"}]}, "x.id: expected an integer, found text"),
        (3, {"anyOf": [USER, {"type": "null"}]}, "x: expected User {id, name} or null, found an integer"),
        ([1, "a"], {"type": "array", "items": {"type": "integer"}}, "x[1]: expected an integer, found text"),
        (3, {"type": "array", "items": USER}, "x: expected a list of User {id, name}, found an integer"),
        (0, {"type": "integer", "minimum": 1}, "x: expected at least 1"),
        ("123", text(pattern="^.{5}$"), "x: expected text that matches ^.{5}$"),
        ({"a": 1}, {"type": "object", "additionalProperties": True, "propertyNames": {"type": "integer"}}, "x.a:"),
    ],
)
def test_what_does_not_fit_names_path_and_type(value: object, schema: dict[str, Any], words: str) -> None:
    """The problem says where it is and what was expected, and never repeats the value."""
    with pytest.raises(Misfit) as caught:
        FITTER.fit(value, schema, "x")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("written", "schema", "meant"),
    [
        ("123", text(), "123"),
        ("null", text(), "null"),
        ("123", {"type": "integer"}, 123),
        ("abc", {"type": "integer"}, "abc"),
        ("7", {"anyOf": [{"type": "integer"}, text()]}, 7),
        ("seven", {"anyOf": [{"type": "integer"}, text()]}, "seven"),
        ("null", {"anyOf": [text(), {"type": "null"}]}, None),
        ("12", {"anyOf": [text(), {"type": "null"}]}, "12"),
        ("[1]", {"type": "array"}, [1]),
    ],
)
def test_plain_text_is_read_as_its_type(written: str, schema: dict[str, Any], meant: object) -> None:
    """`--arg name=123` is text where the contract wants text, and a number where it wants one."""
    assert FITTER.read(written, schema, json.loads) == meant


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_without_a_type_everything_fits_unchanged(value: object) -> None:
    """A schema that says nothing takes any JSON as it is."""
    assert FITTER.fit(value, {}, "x") == value
    assert shown(FITTER.fit(value, {}, "x")) == value


def test_a_reference_in_a_circle_ends() -> None:
    """A lock file that refers to itself admits anything rather than hanging."""
    circle = Fitter(definitions={"A": {"$ref": "#/$defs/A"}})
    assert circle.fit(1, {"$ref": "#/$defs/A"}, "x") == 1


def test_all_problems_come_at_once(shop_lock: str) -> None:
    """One try shows everything that is wrong, with the nearest names, and says that nothing was sent."""
    event = Lock.parse(shop_lock, source="test").find("shop", "ordered")
    assert event is not None
    with pytest.raises(Failure) as caught:
        event.checked({"user": {"id": "x", "nmae": 1}, "prodct": {}, "time": "now"})
    assert caught.value.code is Exit.BAD_DATA
    assert str(caught.value).splitlines() == [
        "ordered does not fit its contract Shop; nothing was sent",
        "  missing argument product: expected Product {name, price}",
        "  missing argument user.email: expected text",
        "  missing argument user.name: expected text",
        "  argument user.id: expected an integer, found text",
        "  unknown argument user.nmae: did you mean name?",
        "  unknown argument prodct: did you mean product?",
        "  argument time: expected a time with a zone (2026-11-23T10:00:00Z), found other text",
    ]


def test_the_newest_version_that_is_not_deprecated_is_meant(shop_lock: str) -> None:
    """An event's name means its newest version; a version can be asked for, an unknown one names those there are."""
    lock = Lock.parse(shop_lock, source="test")
    newest, oldest = lock.find("shop", "packed"), lock.find("shop", "packed", 1)
    assert newest is not None
    assert oldest is not None
    assert (newest.version, oldest.version) == (2, 1)
    with pytest.raises(Failure, match="it has 1, 2"):
        lock.find("shop", "packed", 9)


def test_what_the_lock_does_not_know_is_unchecked_only_for_foreign_streams(shop_lock: str) -> None:
    """An unknown event of a known stream is a mistake with the nearest name; a foreign stream has no contract."""
    lock = Lock.parse(shop_lock, source="test")
    with pytest.raises(Failure, match="Shop has no event 'orderd'; did you mean ordered"):
        lock.find("shop", "orderd")
    assert lock.find("elsewhere", "orderd") is None
    assert lock.find("elsewhere", "ordered") is not None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1, "events": [{}]}', '{"format": 2, "events": []}'])
def test_a_broken_lock_is_bad_data(text: str) -> None:
    """A file that is no lock, or a newer one, says what to do."""
    with pytest.raises(Failure, match="esb") as caught:
        Lock.parse(text, source="contract.lock")
    assert caught.value.code is Exit.BAD_DATA
