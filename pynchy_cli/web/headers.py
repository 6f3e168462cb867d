"""What is said with every answer: to be kept nowhere, taken for nothing else, and shown in no page
of others."""

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "pynchy",
    "X-Content-Type-Options": "nosniff",
}
