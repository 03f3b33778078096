from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from gateway.observe.metrics import CONTENT_TYPE, Metrics


def samples(exposition: bytes) -> dict[str, float]:
    families = text_string_to_metric_families(exposition.decode())
    return {f"{sample.name}{sorted(sample.labels.values())}": sample.value for family in families for sample in family.samples}


def test_what_was_counted_is_told_in_prometheus_form() -> None:
    metrics = Metrics()
    metrics.requests.labels("slurm", "GET", "200").inc()
    metrics.under_way.inc()
    told = samples(metrics.exposition())
    assert (told["slurm_gateway_requests_total['200', 'GET', 'slurm']"], told["slurm_gateway_requests_under_way[]"]) == (1, 1)


def test_the_time_of_a_request_falls_into_its_bucket() -> None:
    metrics = Metrics()
    metrics.seconds.labels("slurm").observe(0.3)
    told = samples(metrics.exposition())
    assert (told["slurm_gateway_request_seconds_bucket['0.25', 'slurm']"], told["slurm_gateway_request_seconds_bucket['0.5', 'slurm']"]) == (0, 1)


def test_each_slurmrestd_is_told_of_by_its_number() -> None:
    metrics = Metrics()
    metrics.endpoint("main", 1, taken=3, state=2, ailing=True)
    told = samples(metrics.exposition())
    names = ("endpoint_connections", "breaker", "ailing")
    assert [told[f"slurm_gateway_upstream_{name}['1', 'main']"] for name in names] == [3, 2, 1]


def test_two_applications_in_a_process_count_apart() -> None:
    first, second = Metrics(), Metrics()
    first.sign_ins.labels("totp").inc()
    assert "slurm_gateway_sign_ins_total['totp']" not in samples(second.exposition())


def test_the_content_type_is_that_of_the_text_format() -> None:
    assert CONTENT_TYPE.startswith("text/plain; version=0.0.4")


SHARED = """
import os
from gateway.observe.metrics import Metrics
metrics = Metrics()
child = os.fork()
metrics.requests.labels("slurm", "GET", "200").inc(2)
if child == 0:
    os._exit(0)
os.waitpid(child, 0)
print(metrics.exposition().decode())
"""


def test_with_a_shared_folder_one_process_answers_for_all(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SHARED], env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}, check=True, capture_output=True)
    assert samples(done.stdout)["slurm_gateway_requests_total['200', 'GET', 'slurm']"] == 4
