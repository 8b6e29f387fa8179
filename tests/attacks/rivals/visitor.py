"""Asks an app in a box: the arguments are a host, the code that its app should run, a number of
visitors at once, the seconds that each is patient, and headers. Prints the status, the body and
the seconds of each as JSON."""

import http.client
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor

host, code, visitors, patience, *headers = sys.argv[1:]
sent = {"Host": host} | dict(each.split(": ", 1) for each in headers)


def ask(_number: int) -> tuple[int, str, float]:
    """One request. The status is 0 if there was no answer."""
    began = time.monotonic()
    client = http.client.HTTPConnection("127.0.0.1", timeout=float(patience))
    try:
        client.request("POST", "/", code.encode(), sent)
        answer = client.getresponse()
        status, body = answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        status, body = 0, repr(error)
    return status, body, time.monotonic() - began


with ThreadPoolExecutor(int(visitors)) as pool:
    print(json.dumps(list(pool.map(ask, range(int(visitors))))))
