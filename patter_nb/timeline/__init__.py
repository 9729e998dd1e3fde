"""A session on one axis of time: both sounds as they were heard, what was measured on them, and all that happened beside them.

    timeline   the noun: reads the log, a little at a time where it is long       lanes    the events as spans and marks
    placing    where on the axis each sample of a sound lies                      peaks    loudness at every zoom
    sound      a stretch of both sounds, mixed, to be heard                       moment   what was known at one millisecond

The axis is session time, `Event.t_ms`. The person's sound lies where it was captured, the agent's where the playback cursor says that it
was heard, which is later than it was made, and not all of it.
"""

from __future__ import annotations

from patter_nb.timeline.moment import Moment
from patter_nb.timeline.timeline import Timeline

__all__ = ["Moment", "Timeline"]
