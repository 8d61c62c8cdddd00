"""Long statements are broken without a change of meaning."""

import ast

import pytest

from codegen.layout import header, lines

LONG = [
    "x = a + b - (c - d) + (e + f) * g",
    "x = a * (b + c) / d // e % (f * g)",
    "x = -(a + b + c + d + e) ** (f - g) ** h",
    "x = (a ** b) ** c ** d + -e ** f",
    "x = f(a + b, g(c, d * e), h)(i)",
    "x = a if b else c if d else e",
    "x = (a if b else c) if (d if e else f) else g",
    "x = (a if b else c) + (d if e else f)",
    "x = a and (b or c) and not (d and e) or f",
    "x = (a < b) == (c < d)",
    "x = a + b * c < (d < e) + f",
    "x = (a if b else c) < d + e",
    "x = a << b + c | d & e ^ ~f",
    "x[a + b, c] += d * e + f[g + h, i]",
    "x, y = f(a, b), c + d",
    "return a + b, c * d, f(e)",
    "return (a + b) * (c - d)",
    "f(a, b, c + d)",
]


@pytest.mark.parametrize("text", LONG)
@pytest.mark.parametrize("width", [1, 8, 12, 20, 30])
def test_broken_lines_parse_to_the_same_tree(text, width):
    (stmt,) = ast.parse(text).body
    broken = "\n".join(lines(stmt, 0, width))
    assert ast.dump(ast.parse(broken)) == ast.dump(ast.parse(text))


@pytest.mark.parametrize("word", ["if", "while"])
def test_broken_headers_parse_to_the_same_tree(word):
    text = "a < b and (c or not d) and f(e, g + h)"
    test = ast.parse(text, mode="eval").body
    broken = "\n".join([*header(word, test, 0, 20), "    pass"])
    assert ast.dump(ast.parse(broken)) == ast.dump(
        ast.parse(f"{word} {text}:\n    pass")
    )


def test_lines_that_fit_stay_whole():
    (stmt,) = ast.parse("x = a + b").body
    assert lines(stmt, 4) == ["    x = a + b"]
