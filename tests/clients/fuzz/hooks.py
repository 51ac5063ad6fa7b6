"""What the fuzzer cannot know: things that exist, and what a schema cannot say of a request.

Only requests that are meant to be right are changed; those that are meant to be wrong go out as they were made.
"""

import json
import os
import random
import uuid

import schemathesis

# By the beginning of a path: ids of what the test made, and which may be changed or deleted.
THINGS = json.loads(os.environ["ROADSTEAD_FUZZ_THINGS"])
# Settings with values that leave the service usable.
SETTINGS = json.loads(os.environ["ROADSTEAD_FUZZ_SETTINGS"])
# Ids that must outlive the run, such as that of the fuzzer's own key.
KEPT = set(json.loads(os.environ["ROADSTEAD_FUZZ_KEPT"]))

CHOICE = random.Random(20260131)


def is_right(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


def follows_a_link(case):
    return case.meta is not None and case.meta.phase.name.value == "stateful"


@schemathesis.hook
def before_call(context, case, **kwargs):
    query = case.query or {}
    # A stream has no end that a test could wait for.
    if str(query.get("follow")).lower() == "true":
        query.pop("follow")
    spare_what_is_needed(case)
    if not is_right(case):
        return
    # No cursor can be made up.
    query.pop("cursor", None)
    # Every answer would be the first one's.
    if case.headers:
        case.headers.pop("Idempotency-Key", None)
        # No version can be made up.
        case.headers.pop("If-Match", None)
    name_something_real(case)
    # The last lines have no pages and no order.
    if "tail" in query:
        for name in ("order", "limit"):
            query.pop(name, None)
    # Sums have no pages.
    if "summary" in query:
        for name in ("sort", "limit"):
            query.pop(name, None)
    # What objects hold is free, but for the one character that PostgreSQL keeps in no text.
    for name in ("settings", "metadata"):
        if isinstance(case.body, dict) and name in case.body:
            case.body[name] = without_nul(case.body[name])
    operation = case.operation.definition.raw.get("operationId", "")
    adjust = BODIES.get(operation)
    if adjust is not None and isinstance(case.body, dict):
        adjust(case)


def without_nul(value):
    if isinstance(value, str):
        return value.replace("\0", "0")
    if isinstance(value, list):
        return [without_nul(item) for item in value]
    if isinstance(value, dict):
        return {without_nul(name): without_nul(item) for name, item in value.items()}
    return value


def spare_what_is_needed(case):
    for name, value in (case.path_parameters or {}).items():
        if value in KEPT and case.method.upper() not in ("GET", "HEAD", "OPTIONS"):
            case.path_parameters[name] = str(uuid.UUID(int=CHOICE.getrandbits(128), version=4))


def name_something_real(case):
    parameters = case.path_parameters
    if not parameters or follows_a_link(case) or CHOICE.random() < 0.2:
        return
    for name in parameters:
        beginning = "/api/v1/users" if name == "user" else case.operation.path.split("/{")[0]
        if THINGS.get(beginning):
            parameters[name] = CHOICE.choice(THINGS[beginning])


def launch(case):
    body = case.body
    if CHOICE.random() < 0.9:
        body["type"] = "fuzzed"
    for name in ("credential_id", "credentials", "config", "idle_limit"):
        body.pop(name, None)
    # What is launched ends by itself, and does not fill the machine meanwhile.
    body["expires_in"] = CHOICE.choice(["5s", 10, "20s"])


def extend(case):
    first = CHOICE.choice(["expires_in", "by"])
    case.body.clear()
    case.body[first] = CHOICE.choice(["30s", 45, "1m"])


def renew(case):
    if case.body.get("expires_in") is not None:
        case.body["expires_in"] = "10s"


def credential(case):
    body = case.body
    if "type" in body:
        body["type"] = "fuzzed"
        body["name"] = f"{body['name'][:40]} {CHOICE.getrandbits(64):x}"
    else:
        body.pop("name", None)
    body["values"] = {"token": f"secret {CHOICE.getrandbits(64):x}"}
    for name in ("expires_at", "expires_in"):
        body.pop(name, None)


def key(case):
    body = case.body
    # A key for somebody needs somebody.
    body.pop("user_id", None)
    body["expires_in"] = "1h"
    body["allowed_ips"] = CHOICE.choice([[], ["127.0.0.0/8", "::1"]])


def rotation(case):
    # How long a time may be depends on what it is for.
    if case.body.get("grace") is not None:
        case.body["grace"] = CHOICE.choice(["1s", "90s", 3600, "7d"])


def quarantine(case):
    if case.body.get("for") is not None:
        case.body["for"] = CHOICE.choice(["90s", 3600, "1d"])


def patch(case):
    body = case.body
    if body.get("config") is None:
        body.pop("config", None)
        body["name"] = f"n {CHOICE.getrandbits(32):x}"
    else:
        body["config"] = {}


def bulk(case):
    ids = [CHOICE.choice(THINGS["/api/v1/instances"])] if THINGS.get("/api/v1/instances") else [str(uuid.UUID(int=1, version=4))]
    case.body.clear()
    case.body.update({"action": CHOICE.choice(["stop", "delete", "expire"]), "ids": ids, "dry_run": True})


def user(case):
    case.body["email"] = f"{CHOICE.getrandbits(64):x}@example.com"


def someone(case):
    # An address is one person's alone, and who is made an admin here could end the fuzzer's own account.
    case.body.pop("email", None)
    case.body.pop("is_admin", None)


def unique(case):
    # A short name is one organisation's or project's alone.
    if case.body.get("slug"):
        case.body["slug"] = f"s{CHOICE.getrandbits(64):x}"
    case.body.pop("organization_id", None)


def retention(case):
    # Only tables that are kept by the month can be archived.
    case.body.pop("archive", None)


def retention_run(case):
    if case.body.get("table"):
        case.body["table"] = CHOICE.choice(THINGS["/api/v1/retention/policies"])


def setting(case):
    name, value = CHOICE.choice(sorted(SETTINGS.items()))
    case.path_parameters["key"] = name
    case.body["value"] = value


def server_type(case):
    named = f"t{CHOICE.getrandbits(48):x}"
    if case.method.upper() == "PUT":
        case.path_parameters["id"] = named = "changed"
    case.body = {"name": named, "display_name": case.body["display_name"][:40].strip() or "Type",
                 "program": "/bin/true"}


def imported(case):
    # A package would be fetched; what is read of documents has fuzz targets of its own.
    named = f"t{CHOICE.getrandbits(48):x}"
    case.body = {"document": {"mcpServers": {named: {"url": "https://mcp.example.com/mcp"}}}, "name": named,
                 "dry_run": CHOICE.random() < 0.5}


BODIES = {
    "instances_launch": launch,
    "instances_extend": extend,
    "instances_renew": renew,
    "credentials_create": credential,
    "credentials_replace": credential,
    "keys_create": key,
    "keys_patch": key,
    "keys_rotate": rotation,
    "ports_quarantine": quarantine,
    "instances_patch": patch,
    "instances_bulk": bulk,
    "users_create": user,
    "users_patch": someone,
    "organizations_create": unique,
    "organizations_patch": unique,
    "projects_create": unique,
    "projects_patch": unique,
    "retention_set": retention,
    "retention_run": retention_run,
    "settings_set": setting,
    "types_import": imported,
    "types_create": server_type,
    "types_update": server_type,
}
