"""What a page says that its code prints."""

import re

import pytest

NUMBER = r"\d[\d,]*\.?\d*"


def assert_alike(printed: str, said: str) -> None:
    """The words are equal, and each number is within a tenth."""
    assert re.sub(NUMBER, "#", printed) == re.sub(NUMBER, "#", said)
    found, stated = (
        [float(n.replace(",", "")) for n in re.findall(NUMBER, text)] for text in (printed, said)
    )
    assert found == pytest.approx(stated, rel=0.1)
