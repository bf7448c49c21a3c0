-- The accounts that pay, with the tokens of their owners: lines "account token" of the file that ledger_of_size.py writes.

local people = {}

function people.read(file)
  local found = {}
  for line in io.lines(file) do
    local account, token = line:match("^(%S+) (%S+)$")
    table.insert(found, { account = account, token = token })
  end
  return found
end

function people.headers(token)
  return { ["Authorization"] = "Bearer " .. token, ["Content-Type"] = "application/json" }
end

function people.transfer(payer, payee, key)
  return string.format(
    '{"fromAccount":"%s","toAccount":"%s","amount":0.01,"idempotencyKey":"%s"}', payer, payee, key)
end

return people
