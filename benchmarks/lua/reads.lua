-- The same GET again and again; every one must be answered with 200.
--   wrk ... -- PATH HEADER VALUE
-- The header tells who asks.

local tally = require "tally"
local read

function tally.good(status)
  return status == 200 and 1 or 0
end

function init(args)
  read = wrk.format("GET", args[1], { [args[2]] = args[3] })
  tally.begin()
end

function request()
  return read
end
