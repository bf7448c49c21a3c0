-- What every script shares: count the answers that are as expected, keep the first ones that are not, and say it all as
-- one line of JSON when wrk is done. A script sets `tally.good(status, body)`: how many operations an answer carried out,
-- 0 for an answer that is not as expected.

local ffi = require "ffi"
ffi.cdef [[
  struct moment { long seconds; int microseconds; int padding; };
  int gettimeofday(struct moment *now, void *zone);
]]

local tally = {}
local KEPT_BODIES, KEPT_BYTES = 3, 300
local now = ffi.new("struct moment")
local threads = {}

function tally.now()
  ffi.C.gettimeofday(now, nil)
  return tonumber(now.seconds) + now.microseconds / 1e6
end

-- These are globals for wrk to find, and so that `done`, which runs outside the threads, can fetch them from each.
operations, bad, first_bad, began_at, last_at = 0, 0, "", 0, 0
local seen = 0

function tally.begin()
  began_at = tally.now()
end

function setup(thread)
  table.insert(threads, thread)
  thread:set("number", #threads)
end

function response(status, headers, body)
  -- The rate is taken up to the last answer: what the end of the run cuts off is neither counted nor timed.
  last_at = tally.now()
  local done_now = tally.good(status, body)
  operations = operations + done_now
  if done_now == 0 then
    bad = bad + 1
    if seen < KEPT_BODIES then
      seen = seen + 1
      first_bad = first_bad .. status .. " " .. body:sub(1, KEPT_BYTES):gsub("%c", " ") .. "\n"
    end
  end
end

local function quoted(text)
  return '"' .. text:gsub('[%c"\\]', function(c) return string.format("\\u%04x", c:byte()) end) .. '"'
end

local function percentiles(latency)
  local found = {}
  for percent = 1, 99 do found[percent] = latency:percentile(percent) end
  found[100] = latency.max
  return table.concat(found, ",")
end

function done(summary, latency)
  local all, wrong, bodies, first, last = 0, 0, "", math.huge, 0
  for _, thread in ipairs(threads) do
    all, wrong = all + thread:get("operations"), wrong + thread:get("bad")
    bodies = bodies .. thread:get("first_bad")
    first, last = math.min(first, thread:get("began_at")), math.max(last, thread:get("last_at"))
  end
  local e = summary.errors
  print(string.format(
    '{"operations":%d,"seconds":%f,"bad":%d,"broken":%d,"first_bad":%s,"percentiles_us":[%s]}',
    all, math.max(last - first, 1e-6), wrong, e.connect + e.read + e.write + e.timeout, quoted(bodies),
    percentiles(latency)))
end

return tally
