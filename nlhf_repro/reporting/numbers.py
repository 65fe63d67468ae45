"""How numbers are written: as many digits as their interval supports, never fewer than it needs."""

from __future__ import annotations

import math

SCIENTIFIC_BELOW = 1e-3
SCIENTIFIC_FROM = 1e5
MAXIMAL_DIGITS = 8


def significant(value: float, digits: int, scientific: bool) -> str:
    """`value` with that many significant digits, as 2.1e-4 or as 0.21."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else str(value)
    if scientific:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    decimals = digits - 1 - _magnitude(value)
    return f"{round(value, decimals):.{max(decimals, 0)}f}"


def is_scientific(value: float) -> bool:
    """Whether a value of this size is written with an exponent."""
    return value != 0 and not SCIENTIFIC_BELOW <= abs(value) < SCIENTIFIC_FROM


def plain(value: float, digits: int = 2) -> str:
    """A number that has no interval."""
    return significant(value, digits, is_scientific(value))


def exact_count(value: float) -> str:
    """A count: every digit of an integer."""
    return str(int(value)) if float(value).is_integer() else repr(float(value))


def rounded_count(value: float) -> str:
    """A count that may be a mean, to the whole number: 47,638."""
    return f"{value:,.0f}"


def share_text(value: float) -> str:
    """A share as a percentage; 100% and 0% only where the share is exactly 1 or 0."""
    if value in (0.0, 1.0):
        return f"{value:.0%}"
    return f"{min(max(100 * value, 0.1), 99.9):.1f}".removesuffix(".0") + "%"


def positive_interval(estimate: float, lower: float, upper: float) -> str:
    """A positive quantity whose interval is relative: 2.1e-4 [1.8e-4, 2.5e-4].

    The digits grow until the interval's half-width shows, so that no interval is printed as a
    point.
    """
    scientific = is_scientific(estimate)
    if not (math.isfinite(lower) and math.isfinite(upper)):
        return significant(estimate, 2, scientific)
    half_width = (upper - lower) / 2
    digits = 3 if half_width == 0 else max(2, 1 + _magnitude(estimate) - _magnitude(half_width))
    ends = (
        significant(v, min(digits, MAXIMAL_DIGITS), scientific) for v in (estimate, lower, upper)
    )
    return "{} [{}, {}]".format(*ends)


def additive_interval(estimate: float, lower: float, upper: float, sign: bool = False) -> str:
    """A quantity whose interval is absolute, with two significant digits in the half-width."""
    half_width = (upper - lower) / 2
    if not math.isfinite(half_width):
        return signed(estimate, ".3g", sign)
    kind = ".3g"
    if half_width != 0:
        decimals = max(0, 1 - _magnitude(half_width))
        kind = f".{min(decimals, MAXIMAL_DIGITS + 4)}f"
    ends = (signed(value, kind, sign) for value in (estimate, lower, upper))
    return "{} [{}, {}]".format(*ends)


def signed(value: float, kind: str, plus: bool = True) -> str:
    """`value` by a format such as .2f; what rounds to zero is printed without a sign."""
    text = f"{value:z{kind}}"
    return f"+{text}" if plus and value > 0 and float(text) != 0 else text


def _magnitude(value: float) -> int:
    """The power of ten of the first significant digit."""
    return math.floor(math.log10(abs(value)))


SMALLEST_P = 0.001


def p_value_text(p_value: float) -> str:
    """An adjusted p-value, never as 0."""
    if math.isnan(p_value):
        return "p not estimable"
    return f"p < {SMALLEST_P:g}" if p_value < SMALLEST_P else f"p = {p_value:.2g}"
