"""The colours of trials on the page: readable, and different to people with any colour vision."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

import track.ui

STATIC = Path(track.ui.__file__).parent / "static"

VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What people see of linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.0."""

LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
"""The matrices of OKLab: Ottosson 2020."""

LEAST_DISTANCE = 0.07
"""In OKLab; two colours side by side differ visibly from about 0.02 on."""

LEAST_CONTRAST = 3.0
"""Of graphics, WCAG 2.1, success criterion 1.4.11."""


def linear(color: str) -> np.ndarray:
    """Return linear RGB of a colour such as ``#0072b2``."""
    encoded = np.array([int(color[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def luminance(color: str) -> float:
    return float(linear(color) @ [0.2126, 0.7152, 0.0722])


def seen(color: str, vision: str) -> np.ndarray:
    """Return what a colour looks like, in OKLab."""
    lms = LMS @ np.clip(np.array(VISION[vision]) @ linear(color), 0, 1)
    return LAB @ np.cbrt(lms)


def palette(scheme: str) -> list[str]:
    source = (STATIC / "colors.js").read_text(encoding="utf-8")
    found = re.search(rf"const {scheme} = (\[.*?\]);", source)
    assert found is not None
    return re.findall(r"#[0-9a-f]{6}", found[1])


def scale(scheme: str) -> list[str]:
    """Return the colours of lines whose values are numbers, from the smallest to the largest."""
    source = (STATIC / "colors.js").read_text(encoding="utf-8")
    body = source.split("function onScale")[1]
    ends = re.findall(r"between\(\[(.*?)\], \[(.*?)\]", body)[0 if scheme == "DARK" else 1]
    low, high = (np.array([int(part) for part in end.split(",")]) for end in ends)
    mixed = [low + (high - low) * share for share in np.linspace(0, 1, 11)]
    return ["#" + "".join(f"{round(part):02x}" for part in one) for one in mixed]


@pytest.mark.parametrize("scheme", ["LIGHT", "DARK"])
@pytest.mark.parametrize("vision", VISION)
def test_no_two_trials_look_alike(scheme, vision):
    """Whatever colour vision somebody has."""
    colors = palette(scheme)
    assert len(colors) == 8
    for one, other in combinations(colors, 2):
        distance = np.linalg.norm(seen(one, vision) - seen(other, vision))
        assert distance > LEAST_DISTANCE, (one, other)


@pytest.mark.parametrize(("scheme", "page"), [("LIGHT", "#ffffff"), ("DARK", "#1c2026")])
def test_each_trial_stands_out_from_the_page(scheme, page):
    """So that thin lines can be followed."""
    for color in palette(scheme) + scale(scheme):
        dark, bright = sorted([luminance(color), luminance(page)])
        assert (bright + 0.05) / (dark + 0.05) >= LEAST_CONTRAST, color
