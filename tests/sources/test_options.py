import pytest

from flexpose_ray.errors import ConfigError
from flexpose_ray.sources.options import COMMON, MAX_BAD, MIN_CONFIDENCE, Options, parse_options


def test_nothing_said_is_pixels_with_y_down():
    assert parse_options("", "s") == Options()
    assert Options().size is None and not Options().y_up and not Options().swap_sides
    assert (Options().min_confidence, Options().max_bad) == (MIN_CONFIDENCE, MAX_BAD)


def test_every_option_is_read():
    query = "size=640x480.5&y=up&swap_sides=yes&min_confidence=.5&max_bad=0&skeleton=hand_21&category=a%20dog"
    found = parse_options(query, "s", ("category",))
    assert (found.size, found.y_up, found.swap_sides) == ((640, 480.5), True, True)
    assert (found.min_confidence, found.max_bad, found.skeleton.name) == (0.5, 0, "hand_21")
    assert found.own == {"category": "a dog"}


def test_an_option_of_the_formats_own_is_left_to_it():
    found = parse_options("size=large", "s", ("size",))
    assert found.size is None and found.own == {"size": "large"}


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("colour=red", "unknown option 'colour' .the options are " + ", ".join(COMMON)),
        ("y=up&y=down", "y stands there twice"),
        ("y=left", "y is 'left', expected up or down"),
        ("size=640", "size is '640', expected WIDTHxHEIGHT"),
        ("size=0x9", "size is '0x9'"),
        ("size=9999999x9", "size is '9999999x9'"),
        ("swap_sides=maybe", "swap_sides is 'maybe', expected yes or no"),
        ("min_confidence=2", "min_confidence is '2', expected a number from 0 to 1"),
        ("max_bad=nan", "max_bad is 'nan'"),
        ("skeleton=hand_7", "'hand_7' is neither shipped nor a file"),
    ],
)
def test_what_cannot_be_used_is_named(query, told):
    with pytest.raises(ConfigError, match=told):
        parse_options(query, "table:a.csv")
