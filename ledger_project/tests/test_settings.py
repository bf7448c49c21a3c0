"""Production starts only with what it needs, and says what is missing."""

import json
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

import pymongo
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from ledger_project.embedded import free_port

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "Zt7uQmW2xKc9PfLr4VhYb8NdJs3GaEo6iTqRvXwHyCk5MzUjBgDlFpAn"


def production(**changes: str | None) -> dict[str, str]:
    """A complete production environment, with `changes`; None takes a variable away."""
    complete = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "ledger_project.settings.production",
        "SECRET_KEY": SECRET,
        "JWT_SIGNING_KEY": SECRET[::-1],
        "ALLOWED_HOSTS": "ledger.bank.test",
        "MONGODB_URI": os.environ["MONGODB_URI"],
        "MONGODB_DATABASE": "check",
        "REDIS_URL": os.environ["REDIS_URL"],
        "EMAIL_PROVIDER": "smtp",
        "TRUSTED_PROXIES": "1",
    }
    return {name: value for name, value in (complete | changes).items() if value is not None}


def run(*command: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False
    )


def load(env: dict[str, str]) -> ModuleType:
    """The settings that a process with this environment would start with, read anew in this one."""
    name = env["DJANGO_SETTINGS_MODULE"]
    ours = {
        module: sys.modules.pop(module) for module in list(sys.modules) if module.startswith("ledger_project.settings.")
    }
    try:
        with patch.dict(os.environ, env, clear=True):
            return import_module(name)
    finally:
        sys.modules.update(ours)
        for module, before in ours.items():  # the package names the last one that was imported
            setattr(sys.modules["ledger_project.settings"], module.rpartition(".")[2], before)


def test_the_deployment_check_is_clean():
    done = run("manage.py", "check", "--deploy", "--fail-level", "WARNING", "--database", "default", env=production())
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("SECRET_KEY", None, "SECRET_KEY is not set"),
        ("SECRET_KEY", "short", "SECRET_KEY is weak"),
        ("SECRET_KEY", "a" * 80, "SECRET_KEY is weak"),
        ("SECRET_KEY", "django-insecure-" + SECRET, "SECRET_KEY is weak"),
        ("JWT_SIGNING_KEY", None, "JWT_SIGNING_KEY is not set"),
        ("JWT_SIGNING_KEY", "changeme" * 10, "JWT_SIGNING_KEY is weak"),
        ("ALLOWED_HOSTS", None, "ALLOWED_HOSTS is not set"),
        ("ALLOWED_HOSTS", "*", "ALLOWED_HOSTS"),
        ("PUBLIC_URL", "http://ledger.bank.test", "PUBLIC_URL is not https"),
        ("MONGODB_URI", None, "MONGODB_URI is not set"),
        ("MONGODB_URI", "mongodb://db.bank.test/ledger", "names no replicaSet"),
        ("REDIS_URL", None, "REDIS_URL is not set"),
        ("EMAIL_PROVIDER", None, "EMAIL_PROVIDER is not set"),
        ("EMAIL_PROVIDER", "pigeon", "EMAIL_PROVIDER"),
        ("EMAIL_PROVIDER", "sendgrid", "SENDGRID_API_KEY"),
        ("TRUSTED_PROXIES", None, "TRUSTED_PROXIES is not set"),
        ("METRICS_TOKEN", "short", "METRICS_TOKEN is weak"),
        ("DEBUG", "1", "DEBUG is set"),
        ("THROTTLE_LOGIN", "many", "THROTTLE_LOGIN"),
        ("THROTTLE_LOGIN", "0/60", "THROTTLE_LOGIN"),
    ],
)
def test_production_refuses_to_start_and_names_the_variable(variable, value, says):
    with pytest.raises(ImproperlyConfigured, match=re.escape(says)):
        load(production(**{variable: value}))


def test_the_settings_that_are_refused_are_loaded_when_they_are_whole():
    assert load(production()).ENVIRONMENT == "production"


def test_production_may_stand_behind_no_proxy_when_it_is_said():
    assert load(production(TRUSTED_PROXIES="0")).TRUSTED_PROXIES == 0


def test_production_refuses_equal_secrets():
    done = run("manage.py", "check", env=production(JWT_SIGNING_KEY=SECRET))
    assert done.returncode != 0
    assert "JWT_SIGNING_KEY" in done.stderr


@pytest.mark.parametrize(("name", "has_demo"), [("local", True), ("production", False), ("test", False)])
def test_money_for_nothing_is_there_on_ones_own_machine_only(name, has_demo, tmp_path):
    env = production(
        DJANGO_SETTINGS_MODULE=f"ledger_project.settings.{name}", LEDGER_DATA_DIR=str(tmp_path), DEMO="true"
    )
    assert has_demo is load(env).DEMO


@pytest.mark.slow
def test_production_serves_each_script_under_the_name_of_its_content(tmp_path):
    code = (
        "import django; django.setup()\n"
        "from django.conf import settings; from django.core.management import call_command\n"
        f"settings.STATIC_ROOT = {str(tmp_path)!r}\n"
        "settings.STATICFILES_FINDERS = ['django.contrib.staticfiles.finders.FileSystemFinder']\n"  # only what is ours
        "call_command('collectstatic', interactive=False, verbosity=0)\n"
    )
    done = run("-c", code, env=production())
    assert done.returncode == 0, done.stderr
    names = json.loads((tmp_path / "staticfiles.json").read_text())["paths"]
    script = (tmp_path / names["console/main.js"]).read_text()
    assert f'from "./{Path(names["console/accounts.js"]).name}"' in script
    assert f'from "../{names["session.js"]}"' in script


@pytest.fixture(scope="module")
def standalone(tmp_path_factory):
    """A mongod that is no replica set."""
    from ledger_project.embedded import Mongo

    class Standalone(Mongo):
        def command(self) -> list[str]:
            line = super().command()
            at = line.index("--replSet")
            return line[:at] + line[at + 2 :]

        def answers(self) -> bool:
            with pymongo.MongoClient("127.0.0.1", self.port, serverSelectionTimeoutMS=500) as client:
                try:
                    return bool(client.admin.command("ping"))
                except pymongo.errors.PyMongoError:
                    return False

    with Standalone(tmp_path_factory.mktemp("standalone")) as server:
        yield f"mongodb://127.0.0.1:{server.port}/?directConnection=true"


@pytest.mark.slow
def test_the_web_process_refuses_a_mongodb_that_is_no_replica_set(standalone):
    env = production(MONGODB_URI=standalone, DJANGO_SETTINGS_MODULE="ledger_project.settings.local")
    done = run("-c", "import ledger_project.wsgi", env=env)
    assert done.returncode != 0
    assert "not a replica set" in done.stderr
    checked = run("manage.py", "check", "--database", "default", env=env)
    assert "ledger.E002" in checked.stderr


def test_a_mongodb_that_is_away_is_told_in_one_line():
    away = f"mongodb://127.0.0.1:{free_port()}/?replicaSet=ledger"
    env = production(MONGODB_URI=away, DJANGO_SETTINGS_MODULE="ledger_project.settings.test")
    done = run("manage.py", "check", "--database", "default", env=env)
    assert done.returncode != 0
    assert "ledger.E001" in done.stderr


def test_production_logs_one_json_object_a_line_with_the_request_id():
    code = "import django; django.setup()\nimport logging; logging.getLogger('ledger.request').info('GET %s', '/')\n"
    done = run("-c", code, env=production())
    assert {"time", "level", "logger", "request_id", "message"} <= json.loads(done.stdout.splitlines()[-1]).keys()


def test_no_migration_is_missing(capsys):
    try:
        call_command("makemigrations", check=True, dry_run=True)
    except SystemExit:
        pytest.fail(capsys.readouterr().out)
    assert "No changes detected" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("path", "database", "expected"), [("", None, "ledger"), ("staging", None, "staging"), ("staging", "mine", "mine")]
)
def test_the_database_is_the_one_named_and_never_another(path, database, expected):
    uri = f"mongodb://a.bank.test,b.bank.test/{path}?replicaSet=ledger"
    assert load(production(MONGODB_URI=uri, MONGODB_DATABASE=database)).DATABASES["default"]["NAME"] == expected
