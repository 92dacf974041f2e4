# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# Copyright: (c) 2026, The quayside.web authors
"""Whether a new release is worse than the old one by its traffic, and each threshold with its reason. Pure."""

from __future__ import annotations

import math

from ._traffic import HANGING_MS, Sample, Share, Summary, milliseconds, percentile

#: Fewer failures than this are never a reason: one user who tries the page that never worked a second time makes two.
LEAST_FAILURES = 3
#: How seldom a difference may be mere chance. A watch looks 25 times in its 5 seconds: one false alarm in some
#: thousands of deploys. Where the old release had no errors, 3 of the first 10 requests are enough evidence.
CHANCE = 1e-4
#: A small baseline counts as this many requests of its kind, so that 3 of 3 new errors show and 3 of 30 do not.
LEAST_BASELINE = 100
#: A share below twice the old one is the app as its users know it.
FACTOR = 2
#: Less than this share of errors is not worth undoing a release for: a person shall decide.
ERROR_SHARE = 0.02
#: The probe asks for the health page only, which passed the gate just now; a restarting neighbour may cost it one.
PROBE_SHARE = 0.1
#: Slow is not broken: it takes a good part of the traffic to undo a release for it.
SLOW_SHARE = 0.2
#: Faster than this is never slow: it is hardly noticed, and within what a busy host and a cold cache do.
SLOW_SECONDS = 0.25
#: Slow is more than this many times what nine of ten requests took before.
SLOW_FACTOR = 3
#: Fewer requests than this say nothing about what nine of ten take.
LEAST_TIMES = 20
#: Fewer of the probe's requests (it makes 10 a second) say nothing about its median.
LEAST_PROBES = 10


def worse(before: Share, now: Share, least_share: float) -> bool:
    """Tell whether `now` has more bad ones than `before`, by more than a little and more than chance.

    Chance is Fisher's exact test: were both releases alike, how likely is it that so many of the bad ones are the new
    one's? It needs no minimum of requests: a few that all fail are evidence, a few of many are not.
    """
    if now.bad < LEAST_FAILURES or now.bad < least_share * now.of:
        return False
    if now.bad * before.of < FACTOR * before.bad * now.of:
        return False
    if before.of < LEAST_BASELINE:
        scale = LEAST_BASELINE / before.of if before.of else 0.0
        before = Share(round(before.bad * scale), LEAST_BASELINE)
    return _chance(before, now) < CHANCE


def judge_watch(baseline: Sample, now: Sample, probe: Summary, probe_before: Summary | None = None) -> str | None:
    """Return why the new release has to go, with the figures, or None.

    Args:
        baseline: users' requests to the old release.
        now: users' requests to the new one.
        probe: the probe's requests since the flip.
        probe_before: its requests before.

    Reasons, each held against the old release's own figures by `worse`:

    - users get 5xx: `ERROR_SHARE`;
    - users wait: longer than `SLOW_SECONDS` and `SLOW_FACTOR` times what nine of ten took before: `SLOW_SHARE`. The
      caller leaves the first seconds out, when caches are cold;
    - the probe gets 5xx, no answer, or none within `HANGING_MS`: `PROBE_SHARE`. It sees what no log shows: requests
      that hang;
    - the probe's median is slow, by the same bounds.
    """
    earlier = probe_before or Summary()
    reasons = [_errors(baseline, now), _slowness(baseline, now), _probe_failures(earlier, probe)]
    reasons.append(_probe_slowness(earlier, probe))
    return "; ".join(filter(None, reasons)) or None


def _errors(baseline: Sample, now: Sample) -> str:
    before, after = Share(baseline.errors, baseline.requests), Share(now.errors, now.requests)
    if not worse(before, after, ERROR_SHARE):
        return ""
    return f"{after} requests answered 5xx ({_percent(after)}), before {before}"


def _slowness(baseline: Sample, now: Sample) -> str:
    if len(baseline.seconds) < LEAST_TIMES:
        return ""
    limit = max(SLOW_SECONDS, SLOW_FACTOR * percentile(sorted(baseline.seconds), 90))
    before, after = (Share(sum(t > limit for t in each.seconds), len(each.seconds)) for each in (baseline, now))
    if not worse(before, after, SLOW_SHARE):
        return ""
    return f"{after} requests took more than {milliseconds(limit * 1000)} ({_percent(after)}), before {before}"


def _probe_failures(earlier: Summary, probe: Summary) -> str:
    limit = max(HANGING_MS, SLOW_FACTOR * earlier.p99_ms)
    hanging = sum(age > limit for age in probe.waiting_ms)
    before, after = Share(earlier.failed, earlier.requests), Share(probe.failed + hanging, probe.requests + hanging)
    if not worse(before, after, PROBE_SHARE):
        return ""
    cause = f"first: {probe.first_failure}" if probe.first_failure else f"no answer within {milliseconds(limit)}"
    return f"{after} requests of the probe failed ({_percent(after)}; {cause}), before {before}"


def _probe_slowness(earlier: Summary, probe: Summary) -> str:
    if min(earlier.requests, probe.requests) < LEAST_PROBES:
        return ""
    if probe.p50_ms <= max(SLOW_SECONDS * 1000, SLOW_FACTOR * earlier.p50_ms):
        return ""
    now, before = milliseconds(probe.p50_ms), milliseconds(earlier.p50_ms)
    return f"half of the {probe.requests} requests of the probe took {now} or more, before {before}"


def _chance(before: Share, now: Share) -> float:
    """Return how likely the new release gets at least its share of all bad requests (hypergeometric tail)."""
    bad, total = before.bad + now.bad, before.of + now.of
    everything = _log_choose(total, bad)
    likely = 0.0
    for count in range(now.bad, min(bad, now.of) + 1):
        if bad - count > before.of:
            continue
        term = math.exp(_log_choose(now.of, count) + _log_choose(before.of, bad - count) - everything)
        likely += term
        if term < likely * 1e-6:
            break
    return likely


def _log_choose(of: int, take: int) -> float:
    return math.lgamma(of + 1) - math.lgamma(take + 1) - math.lgamma(of - take + 1)


def _percent(share: Share) -> str:
    return f"{100 * share.bad / share.of:.0f} %"
