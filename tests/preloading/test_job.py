"""What becomes of a job and of its URLs."""

import msgspec
import pytest

from edge.preloading.job import MOST_PROBLEMS, Job, Limits, Outcome, Result, State, judged


def a_job(**changes) -> Job:
    return Job(
        **{"id": "j", "by": "b", "created": 1.0, "limits": Limits(), "accept_encoding": "gzip", "sitemaps": []}
        | changes
    )


@pytest.mark.parametrize(
    ("status", "outcome", "detail", "cache_status", "result"),
    [
        pytest.param(200, "MISS", "uri-miss", "n; fwd=uri-miss; stored", Result(Outcome.STORED, octets=9), id="stored"),
        pytest.param(404, "MISS", "", "n; fwd=miss; stored", Result(Outcome.FAILED, "status 404", 9), id="an error"),
        pytest.param(301, "MISS", "", "n; stored", Result(Outcome.STORED, octets=9), id="a redirection that is stored"),
        pytest.param(200, "HIT", "", "n; hit; ttl=3", Result(Outcome.FRESH, octets=9), id="there already"),
        pytest.param(200, "REVALIDATED", "", "n; hit", Result(Outcome.FRESH, octets=9), id="validated"),
        pytest.param(200, "STALE", "", "n; hit; ttl=-3", Result(Outcome.FRESH, octets=9), id="stale, and being validated"),
        pytest.param(200, "EXPIRED", "", "n; fwd=stale; stored", Result(Outcome.STORED, octets=9), id="stored anew"),
        pytest.param(
            200, "MISS", "no-store", "n; fwd=miss; detail=stored", Result(Outcome.NOT_STORED, "no-store", 9), id="no-store"
        ),
        pytest.param(204, "-", "", "", Result(Outcome.NOT_STORED, "status 204", 9), id="no reason"),
        pytest.param(503, "-", "", "", Result(Outcome.FAILED, "status 503", 9, True, 7.0), id="later"),
        pytest.param(429, "-", "", "", Result(Outcome.FAILED, "status 429", 9, True, 7.0), id="too many"),
    ],
)  # fmt: skip
def test_an_answer_says_what_became_of_a_url(status, outcome, detail, cache_status, result):
    assert judged(status, outcome, detail, cache_status, 9, after="7") == result


@pytest.mark.parametrize("after", ["", "soon", "-1", "9999999", "1.5", "\u0663"])
def test_what_is_no_number_of_seconds_is_not_waited_for(after):
    assert judged(503, "-", "", "", 0, after=after).after == 0


def test_a_job_counts_and_tells_of_what_is_not_stored():
    job = a_job()
    for outcome in Outcome:
        job.count(f"/{outcome}", Result(outcome, "why" if outcome in {Outcome.FAILED, Outcome.NOT_STORED} else "", 10))
    assert (job.stored, job.fresh, job.not_stored, job.failed, job.octets) == (1, 1, 1, 1, 40)
    assert [(each.url, each.reason) for each in job.problems] == [("/not-stored", "why"), ("/failed", "why")]
    for _ in range(MOST_PROBLEMS):
        job.count("/", Result(Outcome.FAILED, "why"))
    assert (job.failed, len(job.problems)) == (MOST_PROBLEMS + 1, MOST_PROBLEMS)
    assert not job.is_over
    job.end(State.DONE, 5.0)
    assert job.is_over
    assert job.ended == 5.0


def test_jobs_do_not_share_what_they_collect():
    first, second = a_job(), a_job()
    first.count("/", Result(Outcome.FAILED, "why"))
    first.read.append("x")
    assert second.problems == second.read == []


def test_a_job_comes_back_from_json_as_it_was():
    job = a_job(state=State.WAITING, limits=Limits(rate=5, window="22:00-06:30"))
    job.count("/", Result(Outcome.FAILED, "why", 3))
    assert msgspec.convert(msgspec.json.decode(msgspec.json.encode(job)), Job) == job


@pytest.mark.parametrize(
    "limits",
    [
        {"concurrency": 0}, {"concurrency": 65}, {"rate": 0}, {"window": "22-6"}, {"window": "24:00-06:00"},
        {"window": "22:00-06:60"}, {"retries": 11}, {"speed": 1},
    ],
)  # fmt: skip
def test_limits_have_limits(limits):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(limits, Limits)
