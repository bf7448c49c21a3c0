"""What the OpenAPI document shows: one transfer from FROM to TO, and what comes of it."""

FROM, TO, TIME = "66f0c1b2a4e5d6f708192a3b", "66f0c1c7a4e5d6f708192a40", "2026-11-22T09:31:12.456Z"
FUNDS = {"toAccount": TO, "amount": 10000, "idempotencyKey": "funds-2026-11-22-001"}
TRANSFER = {"fromAccount": FROM, "toAccount": TO, "amount": 500, "idempotencyKey": "order-1042"}
TRANSACTION = {
    "_id": "66f0c200a4e5d6f708192a51",
    "fromAccount": FROM,
    "toAccount": TO,
    "amount": 500,
    "currency": "INR",
    "status": "COMPLETED",
    "idempotencyKey": "order-1042",
    "createdAt": TIME,
    "updatedAt": TIME,
}
ISSUE = TRANSACTION | {
    "fromAccount": "66f0c090a4e5d6f708192a11",
    "amount": 10000,
    "idempotencyKey": "funds-2026-11-22-001",
}
REVERSAL = TRANSACTION | {
    "_id": "66f0c7a1a4e5d6f708192a60",
    "fromAccount": TO,
    "toAccount": FROM,
    "idempotencyKey": "case-5512",
    "kind": "REVERSAL",
    "reverses": TRANSACTION["_id"],
    "reason": "Paid twice, case 5512",
}
APPROVAL_REQUEST = {
    "_id": "66f0c7b3a4e5d6f708192a66",
    "kind": "REVERSAL",
    "status": "PENDING",
    "original": TRANSACTION["_id"],
    "amount": 5000,
    "currency": "INR",
    "reason": "Paid twice, case 5512",
    "requestedAt": TIME,
}
DEBIT = {
    "_id": "66f0c200a4e5d6f708192a52",
    "account": FROM,
    "sequence": 7,
    "direction": "DEBIT",
    "amount": 500,
    "currency": "INR",
    "balanceAfter": 1250.5,
    "counterAccount": TO,
    "transaction": TRANSACTION["_id"],
    "createdAt": TIME,
    "hash": "5f2a9c0e7d41b86f3a15e0c2d97b84f6a0c3e5d7f1b29486c8e0a2d4f6b81937",
}
# Of an entry on another's account one sees what is one's own business: not how that account stands.
CREDIT = DEBIT | {
    "_id": "66f0c200a4e5d6f708192a53",
    "account": TO,
    "sequence": None,
    "direction": "CREDIT",
    "balanceAfter": None,
    "counterAccount": FROM,
    "hash": None,
}
