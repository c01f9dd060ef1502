"""The webhook: signed requests of other programs become triggers, before they are answered.

    POST /trigger
    X-Taxiway-Signature: t=TIME,v1=HEX

HEX is the HMAC-SHA256 of TIME, a dot and the body, as `taxiway.alerts.webhook` signs as well. TIME is in seconds and at
most five minutes from the clock here. A request that comes again, such as a recorded one, is the same trigger.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from components.contract.errors import ServiceError, TaxiwayError, UserError
from components.contract.times import moment
from taxiway.alerts.secret import Secret
from taxiway.alerts.webhook import SIGNATURE, signature
from taxiway.lineage.loop.cycle import Trigger
from taxiway.loop import people
from taxiway.loop.triggers.settings import TriggerSettings, WebhookTrigger
from taxiway.network import http_server
from taxiway.network.http_server import RefusedError, Runner

PATH = "/trigger"
_BODY_BYTES, _BODY_SECONDS = 64 << 10, 10.0
_OLDEST = 300
_LONGEST = 300
_SIGNED = re.compile(r"t=(\d{1,12}),v1=([0-9a-f]{64})")
_FIELDS = {"reason", "window_start", "window_end"}

Put = Callable[[Trigger], bool]
"""Writes a request down; False if it is there already."""


def verified(header: str, body: bytes, key: str, now: datetime) -> str:
    """The id of a signed request.

    Raises:
        RefusedError: 401: the signature is missing, wrong, or of another time.
    """
    found = _SIGNED.fullmatch(header)
    time = int(found[1]) if found else 0
    if not found or not hmac.compare_digest(signature(key, time, body), header):
        raise RefusedError(401, f"The signature in {SIGNATURE} is missing or wrong")
    if abs(now.timestamp() - time) > _OLDEST:
        raise RefusedError(401, f"The signature's time is more than {_OLDEST} s from this clock's")
    return hashlib.sha256(header.encode()).hexdigest()[:12]


def asked(body: bytes, id_: str, trigger: TriggerSettings, window: str, now: datetime) -> Trigger:
    """The trigger in a body.

    Raises:
        RefusedError: 400: it is no JSON, or has other fields.
    """
    try:
        given = json.loads(body) if body.strip() else {}
        if not isinstance(given, dict) or not given.keys() <= _FIELDS or not all(map(_is_text, given.values())):
            raise ValueError(f"it takes an object with texts {', '.join(sorted(_FIELDS))}")
        times = [moment(given[name], name) if name in given else None for name in ("window_start", "window_end")]
        facts = people.window(now, times[0], times[1], trigger.window or window)
    except (ValueError, RecursionError, OverflowError, UserError) as error:
        what = error.what if isinstance(error, UserError) else str(error)
        raise RefusedError(400, f"The body is not right: {what}") from error
    reason = " ".join(given.get("reason", "").split())[:_LONGEST] or "no reason given"
    said = f"a webhook asked for it: {reason}"
    return Trigger(name=trigger.name, kind=trigger.kind, id=id_, reason=said, time=now, facts=facts)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


@contextmanager
def serving(trigger: TriggerSettings, window: str, put: Put) -> Iterator[int]:
    """Serves the webhook in a thread, until the block ends. Gives its port.

    Args:
        trigger: The trigger's settings.
        window: The length of the window to train on, if neither the trigger nor the request says.
        put: Writes a request down; is called in the thread.

    Raises:
        ServiceError: The address is taken, or not this machine's.
        UserError: The secret is not there.
    """
    what = trigger.what
    assert isinstance(what, WebhookTrigger)
    Secret(what.secret).read()
    loop = asyncio.new_event_loop()
    with closing(loop):
        runner = loop.run_until_complete(_started(what, _handler(trigger, what, window, put)))
        thread = threading.Thread(target=loop.run_forever, name="webhook", daemon=True)
        thread.start()
        try:
            yield runner.addresses[0][1]
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.run_until_complete(runner.cleanup())


async def _started(what: WebhookTrigger, handler: Any) -> Runner:
    app = web.Application()
    app.router.add_post(PATH, handler)
    runner = Runner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, what.host, what.port).start()
    except OSError as error:
        await runner.cleanup()
        raise ServiceError(
            f"the webhook cannot listen on {what.host}:{what.port}: {error.strerror}", fix="set another host or port"
        ) from error
    return runner


def _handler(trigger: TriggerSettings, what: WebhookTrigger, window: str, put: Put) -> Any:
    async def handle(request: web.Request) -> web.Response:
        now = datetime.now(UTC)
        try:
            body = await http_server.read(request, _BODY_BYTES, _BODY_SECONDS)
            # Read each time, so that it can be renewed.
            id_ = verified(request.headers.get(SIGNATURE, ""), body, Secret(what.secret).read(), now)
            found = asked(body, id_, trigger, window, now)
            is_new = await asyncio.to_thread(put, found)
        except RefusedError as refused:
            return http_server.error(str(refused), refused.status)
        except TaxiwayError:
            return http_server.error("The request cannot be kept now; send it again", 503)
        return web.json_response({"id": id_, "new": is_new}, status=202)

    return handle
