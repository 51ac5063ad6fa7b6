//! Black-box tests of the whole: they live in `tests/tests/`, this library holds nothing.
