from __future__ import annotations

import pytest

from gateway.config.patterns import path_pattern

GOOD = [
    "/**",
    "/slurm/**",
    "/slurm/v*/reconfigure",
    "/slurm/v0.0.38/job/*",
    "/slurm/*/job/**",
    "/slurm/**/requeue",
    "/slurm/*/*",
    "/slurmdb/v*/user/caf%C3%A9",
    "/slurmdb/v*/user/a%40b",
    "/slurmdb/v*/user/a@b",
    "/slurmdb/v*/user/a%2Ab",
    "/slurmdb/*/job",
    "/openapi",
    "/openapi*",
    "/openapi/**",
    "/openapi/v3",
]
BAD = {
    "": "begins with",
    "slurm/v*/ping": "begins with",
    "/slurm": "begins with",
    "/slurm*/v*/ping": "begins with",
    "/*/v*/ping": "begins with",
    "/SLURM/v*/ping": "begins with",
    "/clusters/main/slurm/v*/ping": "begins with",
    "/auth/login": "begins with",
    "/openapi/v4": "begins with",
    "/openapi/v3/x": "begins with",
    "/openapi**": "begins with",
    "/**/**": "begins with",
    "/slurm/": "'//'",
    "/slurm//v*/ping": "'//'",
    "/slurm/v*/ping/": "'//'",
    "/slurm/v*/../x": "'..'",
    "/slurm/v*/./x": "'..'",
    "/slurm/v*": "so short",
    "/slurmdb/*": "so short",
    "/slurm/*/job": "did you mean /slurm/*/job/**",
    "/slurm/v0.0.44/new": "so short",
    "/slurm/**/**/x": "write it once",
    "/slurm/v**/x": "whole segments",
    "/slurm/***": "whole segments",
    "/slurm/v*/a;b": "a character",
    "/slurm/v*/a?b": "a character",
    "/slurm/v*/a#b": "a character",
    "/slurm/v*/a b": "a character",
    "/slurm/v*/caf\u00e9": "a character",
    "/slurm/v*/x\n": "a character",
    "/slurm/v*/[ab]": "a character",
    "/slurm/v*/a%4": "a character",
    "/slurm/v*/caf%c3%a9": "in capitals",
    "/slurm/v*/p%69ng": "%69 stands in a path as i",
    "/slurm/v*/a%2Fb": "%2F is refused",
    "/slurm/v*/a%5Cb": "%5C is refused",
    "/slurm/v*/a%25b": "%25 is refused",
    "/slurm/v*/a%3Bb": "%3B is refused",
    "/slurm/v*/a%00": "%00 is refused",
    "/slurm/v*/a%7F": "%7F is refused",
    "/slurm/v*/a%C3b": "not UTF-8",
    "/slurm/v*/a%C3*%A9": "not UTF-8",
    "/slurm/" + "a" * 250: "at most 256",
}


@pytest.mark.parametrize("text", GOOD)
def test_a_pattern_that_some_call_could_match_is_one(text: str) -> None:
    assert path_pattern(text) == text


@pytest.mark.parametrize("text", BAD)
def test_a_pattern_that_no_call_could_match_is_refused_with_the_reason(text: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at below
        path_pattern(text)
    assert BAD[text] in str(caught.value)
