-- Batches of transfers of 0.01: each by one user, from that user's accounts to any; every item must be answered with 201.
--   wrk ... -- PATH PEOPLE RUN SIZE

local tally = require "tally"
local people = require "people"

local path, accounts, users, run, size
local sent = 0

-- Counts the items; a batch with one that is not 201 is bad as a whole.
function tally.good(status, body)
  local _, posted = body:gsub('"status":%s*201[,}]', "")
  return status == 200 and posted == size and size or 0
end

local function by_user(all)
  local found, of = {}, {}
  for _, account in ipairs(all) do
    if not of[account.token] then
      of[account.token] = { headers = people.headers(account.token) }
      table.insert(found, of[account.token])
    end
    table.insert(of[account.token], account.account)
  end
  return found
end

function init(args)
  path, accounts, run, size = args[1], people.read(args[2]), args[3], tonumber(args[4])
  users = by_user(accounts)
  math.randomseed(tonumber(run:sub(1, 7), 16) + number)
  tally.begin()
end

local function payee_of(payer)
  local drawn
  repeat drawn = accounts[math.random(#accounts)].account until drawn ~= payer
  return drawn
end

function request()
  local user, items = users[math.random(#users)], {}
  for item = 1, size do
    sent = sent + 1
    local payer = user[math.random(#user)]
    items[item] = people.transfer(payer, payee_of(payer), run .. "-" .. number .. "-" .. sent)
  end
  local body = '{"atomic":false,"transfers":[' .. table.concat(items, ",") .. "]}"
  return wrk.format("POST", path, user.headers, body)
end
