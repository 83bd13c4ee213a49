-- Licensed under the Apache License, Version 2.0; see LICENSE.
--
-- For wrk: the same request over and over, and the figures as one line.

function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format("RESULT %d %d %d %d\n", summary.requests,
                           summary.duration, e.status,
                           e.connect + e.read + e.write + e.timeout))
end
