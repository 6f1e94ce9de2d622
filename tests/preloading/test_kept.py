"""Jobs on disk."""

import pytest

from edge.errors import StoreError
from edge.preloading.job import CHUNK, State
from edge.preloading.kept import Kept
from tests.preloading.test_job import a_job


async def test_jobs_and_their_urls_come_back_in_order(tmp_path):
    kept = Kept(tmp_path / "jobs")
    assert await kept.jobs() == []
    assert not (tmp_path / "jobs").exists()
    urls = [f"http://a.example/{number}" for number in range(CHUNK * 2 + 7)]
    first, second = a_job(id="first"), a_job(id="second", sitemaps=["http://a.example/s.xml"])
    for job in (first, second):
        await kept.add(job)
    # In parts that end within a chunk, as those of sitemaps do.
    for start, end in ((0, 0), (0, 3), (3, CHUNK), (CHUNK, CHUNK + 1), (CHUNK + 1, len(urls))):
        await kept.append(first, urls[start:end])
    first.chunk, first.state = 1, State.WAITING
    await kept.save(first)
    kept.close()
    again = Kept(tmp_path / "jobs")
    assert await again.jobs() == [first, second]
    chunks = [await again.chunk(first, number) for number in range(4)]
    assert [len(chunk) for chunk in chunks] == [CHUNK, CHUNK, 7, 0]
    assert [url for chunk in chunks for url in chunk] == urls
    assert await again.chunk(second, 0) == []
    await again.forget(first)
    assert await again.jobs() == [second]
    assert await again.chunk(first, 0) == []
    again.close()


async def test_what_is_no_job_is_left_out(tmp_path):
    kept = Kept(tmp_path)
    good, bad = a_job(id="good"), a_job(id="bad")
    for job in (good, bad):
        await kept.add(job)
    kept._cache.set("job bad", {"id": "bad", "state": "nonsense"})
    assert await kept.jobs() == [good]
    kept.close()


async def test_a_directory_that_cannot_be_used_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    kept = Kept(tmp_path / "file")
    with pytest.raises(StoreError):
        await kept.jobs()
    with pytest.raises(StoreError):
        await kept.add(a_job())
