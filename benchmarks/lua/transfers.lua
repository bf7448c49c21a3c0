-- Single transfers of 0.01, each between two accounts drawn at random; every one must be answered with 201.
--   wrk ... -- PATH PEOPLE RUN [PAYEE]
-- RUN makes the keys of this run its own; with PAYEE, everybody pays that account.

local tally = require "tally"
local people = require "people"

local path, accounts, run, payee
local sent = 0

function tally.good(status)
  return status == 201 and 1 or 0
end

function init(args)
  path, accounts, run, payee = args[1], people.read(args[2]), args[3], args[4]
  math.randomseed(tonumber(run:sub(1, 7), 16) + number)
  for _, account in ipairs(accounts) do account.headers = people.headers(account.token) end
  tally.begin()
end

local function other_than(payer)
  local drawn = math.random(#accounts - 1)
  return accounts[drawn < payer and drawn or drawn + 1].account
end

function request()
  sent = sent + 1
  local payer = math.random(#accounts)
  local body = people.transfer(
    accounts[payer].account, payee or other_than(payer), run .. "-" .. number .. "-" .. sent)
  return wrk.format("POST", path, accounts[payer].headers, body)
end
