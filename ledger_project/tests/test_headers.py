"""Headers of every answer, and which other sites' scripts may call the API."""

import json

import pytest
from django.core.checks import run_checks

from ledger_project.tests.test_settings import load, production, run

SHOP = "https://shop.example.com"


@pytest.mark.parametrize(
    "path", ["/", "/console/", "/admin/login/", "/api/docs/", "/api/accounts", "/nothing", "/healthz"]
)
def test_every_answer_tells_the_browser_what_it_may_do(client, path):
    response = client.get(path)
    assert "object-src 'none'" in response["Content-Security-Policy"] or path.startswith(("/api/", "/nothing"))
    assert "default-src" in response["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in response["Content-Security-Policy"]
    assert "camera=()" in response["Permissions-Policy"]
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert response["Cross-Origin-Resource-Policy"] == "same-origin"
    assert response["X-Frame-Options"] == "DENY"
    assert not {"Server", "X-Powered-By", "Access-Control-Allow-Origin"} & set(response.headers)


def test_nobody_keeps_an_answer_of_the_api(client_of, new_user):
    assert client_of(new_user()).get("/api/accounts")["Cache-Control"] == "no-store"


def preflight(client, path, **headers):
    asked = {"HTTP_ORIGIN": SHOP, "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"} | headers
    return client.options(
        path, HTTP_ACCESS_CONTROL_REQUEST_HEADERS="authorization,content-type,idempotency-key", **asked
    )


@pytest.mark.parametrize("path", ["/api/transactions/", "/api/accounts", "/api/auth/login"])
def test_a_site_on_the_list_may_call_the_api(client_of, new_user, settings, path):
    settings.CORS_ALLOWED_ORIGINS = [SHOP]
    asked = preflight(client_of(), path)
    assert asked.status_code == 200
    assert asked["Access-Control-Allow-Origin"] == SHOP
    allowed = {name.strip() for name in asked["Access-Control-Allow-Headers"].split(",")}
    assert {"authorization", "content-type", "idempotency-key"} <= allowed
    assert "POST" in asked["Access-Control-Allow-Methods"]
    assert "Access-Control-Allow-Credentials" not in asked

    answer = client_of(new_user()).get("/api/accounts", HTTP_ORIGIN=SHOP)
    exposed = {name.strip() for name in answer["Access-Control-Expose-Headers"].split(",")}
    assert answer["Access-Control-Allow-Origin"] == SHOP
    assert {"RateLimit", "Retry-After", "Idempotent-Replay", "X-Request-Id"} <= exposed


@pytest.mark.parametrize("listed", [[], ["https://other.example.com"], ["https://shop.example.com:8443"]])
def test_no_other_site_may(client_of, new_user, settings, listed):
    settings.CORS_ALLOWED_ORIGINS = listed
    assert "Access-Control-Allow-Origin" not in preflight(client_of(), "/api/accounts")
    assert "Access-Control-Allow-Origin" not in client_of(new_user()).get("/api/accounts", HTTP_ORIGIN=SHOP)


def test_the_admin_is_for_no_other_site(client, settings):
    settings.CORS_ALLOWED_ORIGINS = [SHOP]
    assert "Access-Control-Allow-Origin" not in client.get("/admin/login/", HTTP_ORIGIN=SHOP)


def test_a_refusal_is_readable_for_a_site_on_the_list(client_of, settings):
    settings.CORS_ALLOWED_ORIGINS = [SHOP]
    settings.THROTTLES = settings.THROTTLES | {"anonymous": "1/3600"}
    answers = [client_of().get("/api/accounts", HTTP_ORIGIN=SHOP, REMOTE_ADDR="10.9.8.7") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [401, 429]
    assert answers[1]["Access-Control-Allow-Origin"] == SHOP


CODE = """
import django; django.setup()
import json
from django.conf import settings
from django.test import Client
settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}  # not collected
ask = lambda path, **headers: Client(raise_request_exception=False).get(path, HTTP_HOST="ledger.bank.test", **headers)
insecure = ask("/api/accounts")
secure = ask("/api/accounts", HTTP_X_FORWARDED_PROTO="https", HTTP_ORIGIN="https://shop.example.com")
login = ask("/admin/login/", HTTP_X_FORWARDED_PROTO="https")
print(json.dumps({
    "insecure": [insecure.status_code, insecure.headers.get("Location")],
    "status": secure.status_code,
    "headers": dict(secure.headers),
    "cookies": [str(cookie) for cookie in login.cookies.values()],
    "session": [settings.SESSION_COOKIE_SECURE, settings.SESSION_COOKIE_HTTPONLY, settings.SESSION_COOKIE_SAMESITE],
}))
"""


def test_production_is_https_only_with_cookies_that_stay_there():
    done = run("-c", CODE, env=production(CORS_ALLOWED_ORIGINS=SHOP))
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith('{"insecure"')))
    assert found["insecure"] == [301, "https://ledger.bank.test/api/accounts"]
    assert found["status"] == 401
    headers = found["headers"]
    assert headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains; preload"
    assert headers["access-control-allow-origin"] == SHOP
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert all("Secure" in cookie and "SameSite=Lax" in cookie for cookie in found["cookies"])
    assert found["session"] == [True, True, "Lax"]
    assert len(found["cookies"]) == 1


@pytest.mark.parametrize("origin", ["*", "shop.example.com"])
def test_an_origin_that_is_none_is_found_by_the_check(settings, origin):
    settings.CORS_ALLOWED_ORIGINS = load(production(CORS_ALLOWED_ORIGINS=origin)).CORS_ALLOWED_ORIGINS
    assert "corsheaders.E013" in {found.id for found in run_checks()}
