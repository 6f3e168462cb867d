"""Errors in the form that the Anthropic API gives them, so that every client understands
them and retries what is worth it."""

from __future__ import annotations

import json

from aiohttp import web

_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    413: "request_too_large",
    502: "api_error",
    504: "timeout_error",
}


def refusal(status: int, message: str) -> web.Response:
    """A whole answer that says why there is none. 502 and 504 are retried by clients."""
    body = {"type": "error", "error": {"type": _TYPES[status], "message": message}}
    answer = web.Response(
        status=status, body=json.dumps(body).encode(), content_type="application/json"
    )
    if status == 413:
        # The rest of the body would be read before the next request.
        answer.force_close()
    return answer
